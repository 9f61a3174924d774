/* Multiboot-1 header and 32-bit entry, the switch to long mode with SSE, the program, and its status to the exit port. */
    .section .multiboot, "a"
    .long 0x1BADB002, 0, -0x1BADB002

    .text
    .code32
    .globl _start
_start:
    cli
    lgdt gdtr
    movl %cr4, %eax
    orl $0x620, %eax            /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x100, %eax            /* LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80010000, %eax       /* PG, WP */
    movl %eax, %cr0
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    movq $stack_end, %rsp
    xorl %ebp, %ebp
    call program
    outb %al, $0xF4
    cli
0:  hlt
    jmp 0b

/* int save(struct place *): 0, and again the value given to restore(). */
    .globl save
save:
    movq %rbx, (%rdi)
    movq %rbp, 8(%rdi)
    movq %r12, 16(%rdi)
    movq %r13, 24(%rdi)
    movq %r14, 32(%rdi)
    movq %r15, 40(%rdi)
    leaq 8(%rsp), %rdx
    movq %rdx, 48(%rdi)
    movq (%rsp), %rdx
    movq %rdx, 56(%rdi)
    xorl %eax, %eax
    ret

    .globl restore
restore:
    movl %esi, %eax
    movq (%rdi), %rbx
    movq 8(%rdi), %rbp
    movq 16(%rdi), %r12
    movq 24(%rdi), %r13
    movq 32(%rdi), %r14
    movq 40(%rdi), %r15
    movq 48(%rdi), %rsp
    jmp *56(%rdi)

    .globl memcpy, memset, memmove
memcpy:
    movq %rdi, %rax
    movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    ret

memset:
    movq %rdi, %r8
    movl %esi, %eax
    movq %rdx, %rcx
    rep stosb
    movq %r8, %rax
    ret

memmove:
    cmpq %rsi, %rdi
    jbe memcpy
    movq %rdi, %rax
    movq %rdx, %rcx
    leaq -1(%rdi,%rcx), %rdi
    leaq -1(%rsi,%rcx), %rsi
    std
    rep movsb
    cld
    ret

    .data
    .balign 8
gdt:
    .quad 0, 0x00209A0000000000, 0x00CF92000000FFFF
gdtr:
    .word 23
    .long gdt

    /* The first 4 MiB, in pages of 2 MiB. */
    .balign 4096
pml4:
    .quad pointers + 3
    .fill 511, 8, 0
pointers:
    .quad directory + 3
    .fill 511, 8, 0
directory:
    .quad 0x000083, 0x200083
    .fill 510, 8, 0

    .bss
    .balign 16
    .skip 0x10000
stack_end:
    .section .note.GNU-stack, "", @progbits
