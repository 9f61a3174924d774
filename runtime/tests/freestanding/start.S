/* Multiboot-1 header and entry: a stack, the program, and its status to the exit port. */
    .section .multiboot, "a"
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .globl _start
_start:
    movl $stack_end, %esp
    xorl %ebp, %ebp
    call program
    outb %al, $0xF4
    cli
0:  hlt
    jmp 0b

/* int save(struct place *): 0, and again the value given to restore(). */
    .globl save
save:
    movl 4(%esp), %ecx
    movl %ebx, (%ecx)
    movl %esi, 4(%ecx)
    movl %edi, 8(%ecx)
    movl %ebp, 12(%ecx)
    leal 4(%esp), %edx
    movl %edx, 16(%ecx)
    movl (%esp), %edx
    movl %edx, 20(%ecx)
    xorl %eax, %eax
    ret

    .globl restore
restore:
    movl 4(%esp), %ecx
    movl 8(%esp), %eax
    movl (%ecx), %ebx
    movl 4(%ecx), %esi
    movl 8(%ecx), %edi
    movl 12(%ecx), %ebp
    movl 16(%ecx), %esp
    jmp *20(%ecx)

    .globl memcpy, memset, memmove
memcpy:
    pushl %edi
    pushl %esi
    movl 12(%esp), %edi
    movl 16(%esp), %esi
    movl 20(%esp), %ecx
    movl %edi, %eax
    movl %ecx, %edx
    shrl $2, %ecx
    rep movsl
    movl %edx, %ecx
    andl $3, %ecx
    rep movsb
    popl %esi
    popl %edi
    ret

memset:
    pushl %edi
    movl 8(%esp), %edi
    movl 12(%esp), %eax
    movl 16(%esp), %ecx
    rep stosb
    movl 8(%esp), %eax
    popl %edi
    ret

memmove:
    movl 4(%esp), %eax
    cmpl 8(%esp), %eax
    jbe memcpy
    pushl %edi
    pushl %esi
    movl 20(%esp), %ecx
    leal -1(%eax,%ecx), %edi
    movl 16(%esp), %esi
    leal -1(%esi,%ecx), %esi
    std
    rep movsb
    cld
    popl %esi
    popl %edi
    ret

    .bss
    .balign 16
    .skip 0x10000
stack_end:
    .section .note.GNU-stack, "", @progbits
