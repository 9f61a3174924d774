#if 0
    SVC_(Close, 1)
#endif
