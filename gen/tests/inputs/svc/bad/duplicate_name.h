    SVC_(Close, 1)
#ifdef _WIN64
    SVC_(Close, 1)
#else
    SVC_(Close, 2)
#endif
