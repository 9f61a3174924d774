    SVC_(QueryInformationThread
    SVC_(OpenFile, 6
    SVC_(
    SVC_()
    SVC_(Close, 1)
