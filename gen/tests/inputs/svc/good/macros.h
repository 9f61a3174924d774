// Macros are texts, however many stand for one another.
#define SUM 1 + 1
#if SUM * 2 == 3
    SVC_(Text, 0)
#endif
#define C0 5
#define C1 C0
#define C2 C1
#define C3 C2
#define C4 C3
#define C5 C4
#define C6 C5
#define C7 C6
#define C8 C7
#define C9 C8
#define C10 C9
#define C11 C10
#define C12 C11
#define C13 C12
#define C14 C13
#define C15 C14
#define C16 C15
#define C17 C16
#define C18 C17
#define C19 C18
#define C20 C19
#define C21 C20
#define C22 C21
#define C23 C22
#define C24 C23
#define C25 C24
#define C26 C25
#define C27 C26
#define C28 C27
#define C29 C28
#define C30 C29
#define C31 C30
#define C32 C31
#define C33 C32
#define C34 C33
#define C35 C34
#define C36 C35
#define C37 C36
#define C38 C37
#define C39 C38
#define C40 C39
#define C41 C40
#define C42 C41
#define C43 C42
#define C44 C43
#define C45 C44
#define C46 C45
#define C47 C46
#define C48 C47
#define C49 C48
#define C50 C49
#define C51 C50
#define C52 C51
#define C53 C52
#define C54 C53
#define C55 C54
#define C56 C55
#define C57 C56
#define C58 C57
#define C59 C58
#define C60 C59
#define C61 C60
#define C62 C61
#define C63 C62
#define C64 C63
#define C65 C64
#define C66 C65
#define C67 C66
#define C68 C67
#define C69 C68
#define C70 C69
#define C71 C70
#define C72 C71
#define C73 C72
#define C74 C73
#define C75 C74
#define C76 C75
#define C77 C76
#define C78 C77
#define C79 C78
#define C80 C79
#define C81 C80
#define C82 C81
#define C83 C82
#define C84 C83
#define C85 C84
#define C86 C85
#define C87 C86
#define C88 C87
#define C89 C88
#define C90 C89
#define C91 C90
#define C92 C91
#define C93 C92
#define C94 C93
#define C95 C94
#define C96 C95
#define C97 C96
#define C98 C97
#define C99 C98
#define C100 C99
#if C100 == 5
    SVC_(Chain, 1)
#endif
#define SELF SELF + 1
#if SELF == 1
    SVC_(Self, 2)
#endif
#define EMPTY
#if EMPTY + 1 EMPTY
    SVC_(Empty, 3)
#endif
#define PAIR(a, b) a
#if defined(PAIR) && !PAIR
    SVC_(Parameters, 4)
#endif
#define HAS defined(SUM)
#if HAS
    SVC_(Has, 5)
#endif
#undef SUM
#if !HAS && !defined SUM
    SVC_(HasNot, 6)
#endif
#define OPEN (2 *
#if OPEN 3) == 6
    SVC_(Halves, 7)
#endif
