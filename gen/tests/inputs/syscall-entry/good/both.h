/* Two definitions, as Wine's make_specfiles writes them. */

#define ALL_SYSCALLS32 \
    SYSCALL_ENTRY( 0x0001, NtAccessCheck, 32 ) \
    SYSCALL_ENTRY( 0x0000, NtAcceptConnectPort, 24 ) \
    SYSCALL_ENTRY( 0x0003, NtWide, 20 ) /* an int64 */

#define ALL_SYSCALLS64 \
    SYSCALL_ENTRY( 0x0000, NtAcceptConnectPort, 48 ) \
    SYSCALL_ENTRY( 0x0005, NtWide, 32 )
