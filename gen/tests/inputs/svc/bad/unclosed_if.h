#ifdef A
#if 1
    SVC_(Close, 1)
#endif
