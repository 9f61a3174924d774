/* What a compiler makes of ordinary C: each part prints one line, which has to be the same wherever it runs.
 *
 * Freestanding (multiboot; i386, or x86-64 behind a switch to long mode): prints on port E9h. With HOSTED defined: an ordinary program.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef HOSTED
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#define place jmp_buf
#define save(p) setjmp(*(p))
#define restore(p, value) longjmp(*(p), value)
static void put(char c) { putchar(c); }
#else
typedef uintptr_t place[8];
int save(place *) __attribute__((returns_twice));
void restore(place *, int) __attribute__((noreturn));
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
void *memmove(void *, const void *, size_t);
static void put(char c) { __asm__ volatile("outb %0, $0xE9" : : "a"(c)); }
int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *p = a, *q = b;
    for (; n; n--, p++, q++)
        if (*p != *q) return *p < *q ? -1 : 1;
    return 0;
}
#endif

static void text(const char *s) {
    while (*s) put(*s++);
}

static void hex(uint64_t value, int digits) {
    put(' ');
    while (digits--) put("0123456789abcdef"[value >> (4 * digits) & 15]);
}

static void decimal(int64_t value) {
    char digits[24];
    int n = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do digits[n++] = '0' + rest % 10;
    while (rest /= 10);
    if (value < 0) digits[n++] = '-';
    put(' ');
    while (n) put(digits[--n]);
}

static uint32_t state = 12345;
static uint32_t any(void) { return state = state * 1664525u + 1013904223u; }
static uint64_t any64(void) {
    uint64_t high = any();
    return high << 32 | any();
}

static void crc(void) {
    static uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
        table[i] = c;
    }
    uint32_t sum = ~0u;
    for (int i = 0; i < 20000; i++) sum = table[(sum ^ any() >> 24) & 255] ^ sum >> 8;
    text("crc");
    hex(~sum, 8);
}

struct item {
    int16_t key;
    uint8_t tail[5];
    uint32_t value;
};

static int before(const struct item *a, const struct item *b) {
    return a->key != b->key ? a->key < b->key : a->value < b->value;
}

static void sort(struct item *items, int n) {
    if (n < 2) return;
    struct item pivot = items[n / 2];
    int i = 0, j = n - 1;
    for (;; i++, j--) {
        while (before(&items[i], &pivot)) i++;
        while (before(&pivot, &items[j])) j--;
        if (i >= j) break;
        struct item swapped = items[i];
        items[i] = items[j];
        items[j] = swapped;
    }
    sort(items, i);
    sort(items + j + 1, n - j - 1);
}

static void sorting(void) {
    static struct item items[700];
    for (int i = 0; i < 700; i++) {
        items[i].key = any() >> 20;
        items[i].value = any();
        for (int k = 0; k < 5; k++) items[i].tail[k] = any() >> 16;
    }
    sort(items, 700);
    uint32_t sum = 0, good = 1;
    for (int i = 0; i < 700; i++) {
        sum = sum * 31 + items[i].value + items[i].tail[i % 5];
        if (i && before(&items[i], &items[i - 1])) good = 0;
    }
    text("sort");
    decimal(good);
    hex(sum, 8);
}

static void wide(void) {
    uint64_t sum = 0;
    for (int i = 0; i < 2000; i++) {
        uint64_t a = any64() >> (any() >> 27), b = (any64() >> (any() >> 26)) | 1;
        int64_t s = (int64_t)any64() >> (any() >> 27), t = (int64_t)b >> (any() >> 28);
        if (!t) t = -7;
        sum = sum * 3 + a / b + a % b * 5 + a * b;
        sum ^= (uint64_t)(s / t) + (uint64_t)(s % t) * 9;
        sum += (a << (i & 63)) ^ (a >> (63 - (i & 63))) ^ (uint64_t)(s >> (i & 31));
        sum += a < b ? 1 : (int64_t)a < s ? 2 : 3;
    }
    text("wide");
    hex(sum, 16);
    decimal((int64_t)0x8000000000000000u / 10);
    decimal(-1234567890123456789ll % 1000000007);
}

static void narrow(void) {
    uint32_t sum = 0;
    for (int i = 1; i < 3000; i++) {
        int8_t a = any() >> 24;
        uint8_t b = any() >> 24;
        int16_t c = any() >> 16;
        uint16_t d = any() >> 16;
        int32_t e = any();
        sum = sum * 33 + (uint8_t)(a * 3 - b) + (uint16_t)(c / (a | 1)) + d % (b | 1) + (uint32_t)(e / (c | 1));
        sum ^= (uint32_t)(e % i) + (a >> 3) + (d << 5) + (uint32_t)(c >> (i & 15)) + (a < c) + (b > d) * 2;
        sum = sum << (i & 31) | sum >> (-i & 31);
        sum += __builtin_popcount(e) + (e ? __builtin_ctz(e) + __builtin_clz(e) : 0) + __builtin_bswap32(sum);
        d = __builtin_bswap16(d);
        int32_t product;
        sum += d + __builtin_mul_overflow(e, c, &product) + (uint32_t)product;
        sum += __builtin_add_overflow(a, (int8_t)b, &a) + a;
    }
    text("narrow");
    hex(sum, 8);
}

static size_t length(const char *s) {
    const char *end = s;
    while (*end) end++;
    return end - s;
}

static void strings(void) {
    static char buffer[300];
    static const char words[] = "the quick brown fox jumps over the lazy dog";
    memset(buffer, '.', sizeof buffer - 1);
    memcpy(buffer + 3, words, length(words));
    memmove(buffer + 10, buffer + 3, 60);
    memmove(buffer + 1, buffer + 20, 47);
    for (char *p = buffer; *p; p++)
        if (*p >= 'a' && *p <= 'z') *p ^= 0x20;
    buffer[80] = 0;
    text(buffer);
    decimal(memcmp(buffer, words, 5) < 0);
    decimal(memcmp("same", "same", 4));
    decimal(length(buffer));
}

struct bits {
    uint32_t a : 3, b : 7, c : 13;
    int32_t d : 5, e : 4;
    uint64_t f : 37;
};

static struct bits turn(struct bits x) {
    struct bits y = x;
    y.a += x.b;
    y.b = x.c >> 2;
    y.c ^= x.f >> 20;
    y.d = x.e;
    y.e = x.d >> 1;
    y.f = x.f * 5 + x.a;
    return y;
}

static void fields(void) {
    struct bits x = {5, 100, 8000, -9, 3, 0x1234567890ull};
    for (int i = 0; i < 50; i++) x = turn(x);
    text("fields");
    decimal(x.a), decimal(x.b), decimal(x.c), decimal(x.d), decimal(x.e), hex(x.f, 10);
}

static int step(int op, int a) {
    switch (op) {
    case 0: return a + 7;
    case 1: return a * 3;
    case 2: return a ^ 0x55;
    case 3: return -a;
    case 4: return a >> 2;
    case 5: return a & 0xFFFF;
    case 6: return a / 3;
    case 7: return a % 1000;
    case 9: return a | 1;
    case 12: return ~a;
    default: return a - op;
    }
}

static int ackermann(int m, int n) {
    return m == 0 ? n + 1 : ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static int add(int a, int b) { return a + b; }
static int subtract(int a, int b) { return a - b; }
static int multiply(int a, int b) { return a * b; }

static void flow(void) {
    static int (*const functions[])(int, int) = {add, subtract, multiply};
    int a = 1;
    for (int i = 0; i < 500; i++) a = step(any() >> 28, a);
    text("flow");
    decimal(a);
    decimal(ackermann(2, 9));
    for (unsigned i = 0; i < 60; i++) a = functions[any() % 3](a & 0xFFFF, (int)i);
    decimal(a);
}

static void deep(place *p, int n) {
    volatile int guard[8] = {n};
    if (n == 0) restore(p, 42);
    if (n > 0) deep(p, n - 1);
    guard[1] = guard[0];
}

static void jumps(void) {
    static place here;
    volatile int count = 0;
    int value = save(&here);
    count++;
    if (value == 0) deep(&here, 20);
    text("jump");
    decimal(value);
    decimal(count);
}

static void sieve(void) {
    static uint8_t composite[20000];
    uint32_t count = 0, last = 0;
    for (uint32_t i = 2; i < sizeof composite; i++) {
        if (composite[i]) continue;
        count++, last = i;
        for (uint32_t k = i * i; k < sizeof composite && i < 200; k += i) composite[k] = 1;
    }
    text("primes");
    decimal(count);
    decimal(last);
}

int program(void) {
    static void (*const parts[])(void) = {crc, sorting, wide, narrow, strings, fields, flow, jumps, sieve};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        parts[i]();
        put('\n');
    }
    return 21;
}

#ifdef HOSTED
int main(void) { return program(); }
#endif
