#endif
#else
#elif 1
    SVC_(Close, 1)
#if 1
#else
#else
#elif 1
#endif
