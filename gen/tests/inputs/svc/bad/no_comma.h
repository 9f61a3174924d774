    SVC_(AcceptConnectPort, 6)
    SVC_(CreatePagingFile 4)
    SVC_(Close, 1)
