#iff A
    SVC_(Close, 1)
#endif
