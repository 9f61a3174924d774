/* Executes single instructions on the processor that this program runs on, and writes down what they did.
 *
 *   runner CASES RESULTS
 *
 * Both files are arrays of the records below; the test that starts this program has the same layout. A case runs in
 * ring 3 with every general register given, ESP too: the work is done in a signal handler, whose return loads the whole
 * register set, and the breakpoint after the instruction (or the fault in it) enters the handler again.
 *
 * Build: gcc -m32 -O1 -D_GNU_SOURCE runner.c
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    LOW = 0x4000, CODE_END = 0x8000, TOP = 0x10000,
    DATA_PAGE = 0x9000, DATA_END = 0xB000, DATA = 0x9FC0, DATA_SIZE = 128,
    STACK_PAGE = 0xC000, STACK_END = 0xE000, STACK = 0xCF40, STACK_SIZE = 256,
    CODE_SIZE = 80, BREAKPOINT = 0xCC,
    ARITHMETIC = 0x8D5, DF = 0x400
};

struct given {
    uint32_t registers[8]; /* by their numbers: EAX ECX EDX EBX ESP EBP ESI EDI */
    uint32_t flags, code_at;
    uint8_t code[CODE_SIZE], data[DATA_SIZE], stack[STACK_SIZE];
};

struct seen {
    uint32_t registers[8];
    uint32_t flags, eip, trap, stray;
    uint8_t data[DATA_SIZE], stack[STACK_SIZE];
};

static const int order[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
static struct given *cases;
static struct seen *results;
static size_t count, next;
static const char *results_path;
static char handler_stack[1 << 16] __attribute__((aligned(16)));

static uint8_t *at(uint32_t address) { return (uint8_t *)(uintptr_t)address; }

static int any(uint32_t from, uint32_t to) {
    for (uint32_t a = from; a < to; a += 4)
        if (*(volatile uint32_t *)at(a)) return 1;
    return 0;
}

static void write_results(void) {
    FILE *file = fopen(results_path, "wb");
    if (!file || fwrite(results, sizeof *results, count, file) != count || fclose(file)) _exit(3);
    _exit(0);
}

static void handler(int signal, siginfo_t *info, void *context) {
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal, (void)info;
    if (next > 0) {
        struct seen *seen = &results[next - 1];
        for (int i = 0; i < 8; i++) seen->registers[i] = g[order[i]];
        seen->flags = g[REG_EFL];
        seen->eip = g[REG_EIP];
        seen->trap = g[REG_TRAPNO];
        memcpy(seen->data, at(DATA), DATA_SIZE);
        memcpy(seen->stack, at(STACK), STACK_SIZE);
        seen->stray = any(DATA_PAGE, DATA) | any(DATA + DATA_SIZE, DATA_END) | any(STACK_PAGE, STACK)
            | any(STACK + STACK_SIZE, STACK_END);
        if (seen->stray) {
            memset(at(DATA_PAGE), 0, DATA_END - DATA_PAGE);
            memset(at(STACK_PAGE), 0, STACK_END - STACK_PAGE);
        }
        memset(at(cases[next - 1].code_at), BREAKPOINT, CODE_SIZE);
    }
    if (next == count) write_results();
    struct given *given = &cases[next++];
    memcpy(at(DATA), given->data, DATA_SIZE);
    memcpy(at(STACK), given->stack, STACK_SIZE);
    memcpy(at(given->code_at), given->code, CODE_SIZE);
    for (int i = 0; i < 8; i++) g[order[i]] = given->registers[i];
    g[REG_UESP] = given->registers[4];
    g[REG_EIP] = given->code_at;
    g[REG_EFL] = (g[REG_EFL] & ~(ARITHMETIC | DF)) | (given->flags & (ARITHMETIC | DF));
}

int main(int argc, char **argv) {
    FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!file || fseek(file, 0, SEEK_END)) return 2;
    count = ftell(file) / sizeof *cases;
    rewind(file);
    cases = malloc(count * sizeof *cases);
    results = calloc(count, sizeof *results);
    if (!cases || !results || fread(cases, sizeof *cases, count, file) != count) return 2;
    fclose(file);
    results_path = argv[2];
    int rights = PROT_READ | PROT_WRITE | PROT_EXEC, kind = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
    if (mmap(at(LOW), TOP - LOW, rights, kind, -1, 0) == MAP_FAILED) return 4;
    memset(at(LOW), BREAKPOINT, CODE_END - LOW);
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&stack, NULL);
    for (int signal = SIGILL; signal <= SIGSEGV; signal++)
        if (signal == SIGILL || signal == SIGTRAP || signal == SIGBUS || signal == SIGFPE || signal == SIGSEGV)
            sigaction(signal, &action, NULL);
    __asm__ volatile("int3");
    return 5;
}
