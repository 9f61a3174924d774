    SVC_(Close, 1) /* from here
    SVC_(Open, 1)
