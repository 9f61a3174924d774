#define L0 1 + L0
#define L1 L0 + L0 + L0 + L0
#define L2 L1 + L1 + L1 + L1
#define L3 L2 + L2 + L2 + L2
#define L4 L3 + L3 + L3 + L3
#define L5 L4 + L4 + L4 + L4
#define L6 L5 + L5 + L5 + L5
#define L7 L6 + L6 + L6 + L6
#define L8 L7 + L7 + L7 + L7
#define L9 L8 + L8 + L8 + L8
#define L10 L9 + L9 + L9 + L9
#define L11 L10 + L10 + L10 + L10
#if 1 || L11
#endif
    SVC_(Close, 1)
