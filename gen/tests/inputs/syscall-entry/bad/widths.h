/* more parameters than dwords */
#define ALL_SYSCALLS32 \
    SYSCALL_ENTRY( 0x0000, NtA, 4 )
#define ALL_SYSCALLS64 \
    SYSCALL_ENTRY( 0x0000, NtA, 16 ) \
    SYSCALL_ENTRY( 0x0001, NtB, 12 )
