#if
#endif
#if 1 +
#endif
#if (NTDDI_VERSION >= 
#endif
#if FOO ? 1 : 0
#endif
#if 08
#endif
#ifdef
#endif
#if ((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))
#endif
#if 0
#if this is not looked at
#endif
#endif
    SVC_(Close, 1)
