// Rows stand in the order of their numbers.
#ifndef SYSFUNCS_NT6_ONLY
    SVC_(AcceptConnectPort, 6)
    SVC_(Close,1) /* no blank */
#if (NTDDI_VERSION >= NTDDI_WS03 && NTDDI_VERSION < NTDDI_VISTA)
    SVC2_(ApphelpCacheControl, 2)
#elif (NTDDI_VERSION < NTDDI_WIN7)
    SVC_(Other, 3)
#else
    SVC_(Third, 3)
#endif
#if defined(_WIN64) || \
    DBG
    SVC_(Checked, 1)
#endif // either
/*
    SVC_(InAComment, 1)
*/
	SVC_(Tabbed, 0)	// 0x0003
#define ROWS 2
#if ROWS == 2
    SVC_( Spaced , 2 )
#endif
#endif

#ifdef SYSFUNCS_NT6_ONLY
    SVC_(GetCurrentProcessorNumberEx, 1)
#endif
