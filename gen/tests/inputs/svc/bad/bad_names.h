    SVC_(1A, 1)
    SVC_(Fo-o, 1)
    SVC_(Größe, 1)
