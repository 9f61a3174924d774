//! `c`: a header with numbers, argument bytes, prototypes, and functions that call the kernel by themselves.

use iced_x86::Code;

use super::c_dialect::Dialect;
use super::comment::{c_comment, with_name};
use super::lines::Lines;
use super::params::{plain_type, usable_names};
use crate::model::{Arch, Service, ServiceList};
use crate::stub::{self, Shape, Syntax};
use crate::table::REGISTER_ARGS;

/// What can be chosen.
const CHOICES: &str =
    " * NTGATE_HAVE_TYPES     the types of the signatures are defined: prototypes have them, and NTSTATUS
 * NTGATE_NO_PROTOTYPES  numbers and bytes only
";

const INLINE: &str = " * NTGATE_INLINE         in the place of prototypes the Nt functions themselves, which call the kernel (gcc, clang);
 *                       their arguments are words whatever the signature says
";

pub(super) fn write_c(list: &ServiceList, arch: Arch) -> String {
    let dialect = Dialect::of(arch);
    let guard = format!("NTGATE_{}_H", arch.name().to_uppercase());
    let mut out =
        Lines::new("/* System services: numbers, argument bytes, prototypes. Made by ntgate; do not edit.\n *\n");
    out.text(&format!(" * For {arch}. Define before it is included:\n"));
    out.text(CHOICES);
    if arch != Arch::Arm64 {
        out.text(INLINE);
    }
    out.line(" */");
    out.line(&format!("#ifndef {guard}\n#define {guard}"));
    out.blank();
    dialect.push_convention(&mut out);
    for table in list.tables() {
        out.blank();
        out.line(&format!("/* Table {}, from {:#06x}. */", table.name(), table.base()));
        for service in table.services() {
            push_numbers(&mut out, service, arch);
        }
    }
    out.blank();
    out.line("#ifdef __cplusplus\nextern \"C\" {\n#endif");
    let prototypes = if arch == Arch::Arm64 {
        "#ifndef NTGATE_NO_PROTOTYPES"
    } else {
        push_inline(&mut out, &dialect, list);
        "#elif !defined(NTGATE_NO_PROTOTYPES)"
    };
    out.blank();
    out.line(prototypes);
    push_prototypes(&mut out, &dialect, list);
    out.blank();
    out.line("#endif");
    out.line("#ifdef __cplusplus\n}\n#endif");
    out.blank();
    out.line("#endif");
    out.finish()
}

fn push_numbers(out: &mut Lines, service: &Service, arch: Arch) {
    let name = service.name();
    if let Some(comment) = with_name(service) {
        out.line(&format!("/* {} */", c_comment(&comment)));
    }
    out.line(&format!("#define {name}_ID {:#06x}", service.number()));
    out.line(&format!("#define {name}_ARGBYTES {}", service.arg_bytes(arch)));
}

fn push_prototypes(out: &mut Lines, dialect: &Dialect, list: &ServiceList) {
    out.blank();
    out.line("#ifdef NTGATE_HAVE_TYPES");
    out.line("#define NTGATE_STATUS NTSTATUS");
    out.line("#else");
    out.line(&format!("#define NTGATE_STATUS {}", dialect.long));
    out.line("#endif");
    for service in list.services() {
        let declare = |out: &mut Lines, params: &str| {
            for name in [service.name().nt(), &service.name().zw()] {
                out.line(&format!("NTGATE_STATUS NTAPI {name}({params});"));
            }
        };
        let words = dialect.slots(service);
        match typed_params(service) {
            Some(params) if params != words => {
                out.line("#ifdef NTGATE_HAVE_TYPES");
                declare(out, &params);
                out.line("#else");
                declare(out, &words);
                out.line("#endif");
            }
            _ => declare(out, &words),
        }
    }
}

/// The parameters by the signature, if there is one.
fn typed_params(service: &Service) -> Option<String> {
    let signature = service.signature()?;
    let types: Vec<_> =
        signature.iter().map(|param| plain_type(param).replace("* *", "**").replace("* *", "**")).collect();
    let is_type = |name: &str| types.iter().any(|ty| ty.split([' ', '*']).any(|word| word == name));
    let params = types.iter().zip(usable_names(signature)).map(|(ty, name)| {
        match name.filter(|name| !is_taken(name) && !is_type(name)) {
            Some(name) if ty.ends_with('*') => format!("{ty}{name}"),
            Some(name) => format!("{ty} {name}"),
            None => ty.clone(),
        }
    });
    let params = params.collect::<Vec<_>>().join(", ");
    Some(if params.is_empty() { "void".to_owned() } else { params })
}

/// Whether a parameter cannot have a name that is good C: in C++ it is a word, it is a macro, of this header or of
/// compilers and Windows, or it is kept for compilers and may be either.
fn is_taken(name: &str) -> bool {
    let is_ours =
        name.starts_with("NTGATE_") || name.starts_with("Nt") && (name.ends_with("_ID") || name.ends_with("_ARGBYTES"));
    is_ours || is_reserved(name) || MACROS.contains(&name) || CPP_KEYWORDS.contains(&name)
}

/// Two underscores, or one and a capital (C11 7.1.3): `_Bool`, `__asm__`.
fn is_reserved(name: &str) -> bool {
    name.strip_prefix('_').is_some_and(|rest| rest.starts_with(|c: char| c == '_' || c.is_ascii_uppercase()))
}

/// What gcc defines without being asked or has for a word, `windows.h` and its like, and this header.
const MACROS: &[&str] = &[
    "NTAPI",
    "errno",
    "far",
    "hyper",
    "i386",
    "interface",
    "linux",
    "near",
    "pascal",
    "small",
    "typeof",
    "typeof_unqual",
    "unix",
];

/// Words of C++ that are none of C (C++23, lex.key and lex.digraph).
const CPP_KEYWORDS: &[&str] = &[
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "bitand",
    "bitor",
    "bool",
    "catch",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "decltype",
    "delete",
    "dynamic_cast",
    "explicit",
    "export",
    "false",
    "friend",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "reinterpret_cast",
    "requires",
    "static_assert",
    "static_cast",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typeid",
    "typename",
    "using",
    "virtual",
    "wchar_t",
    "xor",
    "xor_eq",
];

/// Opens `#ifdef NTGATE_INLINE` and leaves it open for the prototypes.
fn push_inline(out: &mut Lines, dialect: &Dialect, list: &ServiceList) {
    let macro_name = if dialect.arch == Arch::I386 { "__i386__" } else { "__x86_64__" };
    out.blank();
    out.line("#ifdef NTGATE_INLINE");
    out.line(&format!("#ifndef {macro_name}\n#error \"this header calls the kernel of {}\"\n#endif", dialect.arch));
    let gate = gate(list, dialect.arch);
    match dialect.arch {
        Arch::I386 => push_call_i386(out, &gate),
        _ => push_calls_amd64(out, list, &gate),
    }
    for service in list.services() {
        push_function(out, dialect, service);
    }
}

/// The instruction that goes into the kernel, as the stubs have it, for the text of an `asm`.
fn gate(list: &ServiceList, arch: Arch) -> String {
    let (shape, code) = match arch {
        Arch::I386 => (Shape::Int2e, Code::Int_imm8),
        _ => (Shape::Syscall, Code::Syscall),
    };
    let text = list.services().next().and_then(|service| {
        let stub = stub::build(shape, service, shape.default_encoding());
        let at = stub.instructions.iter().position(|instruction| instruction.code() == code)?;
        stub.text(Syntax::Gas).into_iter().nth(at)
    });
    text.unwrap_or_default().replace('%', "%%")
}

/// EDX points to the arguments; ECX and EDX come back changed.
fn push_call_i386(out: &mut Lines, gate: &str) {
    out.text(&format!(
        "
static inline long ntgate_call(unsigned long number, const unsigned long *arguments)
{{
    long status;

    __asm__ __volatile__(\"{gate}\"
                         : \"=a\"(status), \"+d\"(arguments)
                         : \"0\"(number)
                         : \"ecx\", \"cc\", \"memory\");
    return status;
}}

"
    ));
}

/// One function for each number of arguments on the stack.
fn push_calls_amd64(out: &mut Lines, list: &ServiceList, gate: &str) {
    out.text(
        "
#ifdef __SSE__
#define NTGATE_VECTORS , \"xmm0\", \"xmm1\", \"xmm2\", \"xmm3\", \"xmm4\", \"xmm5\"
#else
#define NTGATE_VECTORS
#endif

",
    );
    let mut counts: Vec<_> = list.services().map(crate::table::stack_args).collect();
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        push_call_amd64(out, count, gate);
    }
}

/// The kernel finds the fifth argument 28h bytes above RSP: a return address and the room of four arguments are below.
fn push_call_amd64(out: &mut Lines, count: u32, gate: &str) {
    let stack = if count == 0 { String::new() } else { ", const unsigned long long *stack".to_owned() };
    out.line(&format!(
        "static inline int ntgate_call{}(unsigned int number, unsigned long long a1, unsigned long long a2,
                              unsigned long long a3, unsigned long long a4{stack})
{{
    register unsigned long long r10 __asm__(\"r10\") = a1;
    register unsigned long long r8 __asm__(\"r8\") = a3;
    register unsigned long long r9 __asm__(\"r9\") = a4;
    int status;

    __asm__ __volatile__(",
        count + REGISTER_ARGS
    ));
    // What lies below RSP belongs to the caller where the compiler has a red zone.
    let line = |out: &mut Lines, text: &str| out.line(&format!("        \"{text}\\n\\t\""));
    if count == 0 {
        line(out, gate);
    } else {
        line(out, "leaq -128(%%rsp), %%rsp");
        for index in (0..count).rev() {
            line(out, &format!("pushq {}(%[stack])", index * 8));
        }
        line(out, "leaq -40(%%rsp), %%rsp");
        line(out, gate);
        line(out, &format!("leaq {}(%%rsp), %%rsp", 128 + 40 + count * 8));
    }
    let input = if count == 0 { "" } else { ", [stack] \"r\"(stack)" };
    out.line(&format!(
        "        : \"=a\"(status), \"+r\"(r10), \"+d\"(a2), \"+r\"(r8), \"+r\"(r9)
        : \"0\"(number){input}
        : \"rcx\", \"r11\", \"cc\", \"memory\" NTGATE_VECTORS);
    return status;
}}
"
    ));
}

fn push_function(out: &mut Lines, dialect: &Dialect, service: &Service) {
    let Dialect { arch, long, slot, .. } = *dialect;
    let name = service.name();
    let count = usize::from(service.args(arch));
    let args: Vec<_> = (1..=count).map(|index| format!("a{index}")).collect();
    let params: Vec<_> = args.iter().map(|arg| format!("{slot} {arg}")).collect();
    let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
    out.line(&format!("static inline {long} {name}({params})\n{{"));
    let registers = REGISTER_ARGS as usize;
    match arch {
        Arch::I386 if count == 0 => out.line(&format!("    return ntgate_call({name}_ID, 0);")),
        Arch::I386 => {
            out.line(&format!("    const {slot} arguments[] = {{ {} }};", args.join(", ")));
            out.line(&format!("    return ntgate_call({name}_ID, arguments);"));
        }
        _ => {
            let mut first: Vec<_> = args.iter().take(registers).cloned().collect();
            first.resize(registers, "0".to_owned());
            let first = first.join(", ");
            let stack = args.get(registers..).unwrap_or_default();
            if stack.is_empty() {
                out.line(&format!("    return ntgate_call4({name}_ID, {first});"));
            } else {
                out.line(&format!("    const {slot} stack[] = {{ {} }};", stack.join(", ")));
                out.line(&format!("    return ntgate_call{count}({name}_ID, {first}, stack);"));
            }
        }
    }
    out.line("}");
}
