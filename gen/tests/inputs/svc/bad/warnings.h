#if (OTHER_VERSION >= 2)
    SVC_(Open, 1)
#elif (NTDDI_VERSION >= NTDDI_WIN7)
#endif
    SVC_(Close, 1) // 0x0000
    SVC_(Read, 9) // 0x1002
    SVC_(Write, 9, 9)
