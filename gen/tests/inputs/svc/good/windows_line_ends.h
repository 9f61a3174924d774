    SVC_(Close, 1)
#ifdef _WIN64
    SVC_(Wide, 1)
#endif
    SVC_(Open, 3)
