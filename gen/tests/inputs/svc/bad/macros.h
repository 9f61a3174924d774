#define FLAG
#define WORDS 1 2
#define TEXT "x"
#define CUT (1 +
#define INNER WORDS
#define ROWS(n) n
#define
#define 2 3
#undef
#if FLAG
#endif
#if 1 && WORDS
#endif
#if TEXT == 1
#endif
#if CUT
#endif
#if INNER
#endif
#if ROWS(2) == 2
#endif
    SVC_(Close, 1)
