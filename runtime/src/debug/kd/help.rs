//! All commands, in one table: names, usage, what is told of them, what does them.

use super::arguments::Arguments;
use super::error::Error;
use super::{
    Kd, breakpoints, call, disassemble, dt, edit, memory, paging, registers, run, say, stack, symbols, system, tables,
    wt,
};

/// What does a command.
type Run = fn(&mut Kd, &mut Arguments<'_>, &mut String) -> Result<(), Error>;

/// A command.
pub(super) struct Command {
    /// Its names.
    names: &'static [&'static str],
    /// What may stand behind them.
    usage: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// What else is to be known; may be empty.
    details: &'static str,
    pub(super) run: Run,
}

/// Commands that belong together.
struct Family {
    title: &'static str,
    commands: &'static [Command],
}

const fn command(
    names: &'static [&'static str],
    usage: &'static str,
    run: Run,
    summary: &'static str,
    details: &'static str,
) -> Command {
    Command { names, usage, summary, details, run }
}

const FAMILIES: &[Family] = &[
    Family {
        title: "Code",
        commands: &[
            command(
                &["u"],
                "[ADDR [lCOUNT | END]]",
                disassemble::u,
                "Disassemble, eight instructions if nobody says how many",
                "Without an address it goes on where the last one ended, and after a stop where the target is.",
            ),
            command(
                &["ub"],
                "[ADDR [lCOUNT]]",
                disassemble::ub,
                "Disassemble the instructions before an address",
                "Instructions cannot be read backwards for certain: it starts at the symbol before the address where that leads to it.",
            ),
            command(
                &["uf"],
                "[ADDR]",
                disassemble::uf,
                "Disassemble a whole routine",
                "It follows the branches from the symbol that ADDR belongs to; a gap is an empty line.",
            ),
        ],
    },
    Family {
        title: "Memory",
        commands: &[
            command(
                &["db", "dw", "dd", "dc", "dq", "dp", "d"],
                "[ADDR [lCOUNT | END]]",
                memory::d,
                "Show bytes, words, dwords, dwords with characters, quadwords, pointers, or the last of these again",
                "Memory that is not there is ?. Looking at memory does not change it, not even the accessed bits of its pages.",
            ),
            command(
                &["dps", "dds", "dqs"],
                "[ADDR [lCOUNT | END]]",
                memory::d,
                "Show pointers, dwords, quadwords, each with the symbol that it points to",
                "",
            ),
            command(
                &["da", "du"],
                "[ADDR [lCOUNT]]",
                memory::d,
                "Show text of bytes, of UTF-16 units, up to its end",
                "",
            ),
            command(
                &["eb", "ew", "ed", "eq", "ep"],
                "ADDR VALUE...",
                edit::e,
                "Change memory: bytes, words, dwords, quadwords, pointers",
                "All of it is written, on read-only pages too, or nothing. The way back ends here: what was before a change cannot be run again.",
            ),
            command(
                &["ea", "eza", "eu", "ezu"],
                "ADDR \"TEXT\"",
                edit::text,
                "Change memory: text of bytes, of UTF-16 units; with z and a zero behind it",
                "",
            ),
        ],
    },
    Family {
        title: "Registers",
        commands: &[
            command(
                &["r"],
                "[NAME[=VALUE]...]",
                registers::r,
                "Show the registers, or change one",
                "All of them: with the instruction that is next, the memory that it is about, and whether it will branch. \
                 Changed can be the general registers and parts of them, the instruction pointer, efl and single flags.",
            ),
            command(&["rdmsr"], "MSR", registers::rdmsr, "Show a model-specific register", ""),
            command(
                &["wrmsr"],
                "MSR VALUE",
                registers::wrmsr,
                "Change a model-specific register",
                "It cannot hold what WRMSR would refuse.",
            ),
        ],
    },
    Family {
        title: "The processor's tables",
        commands: &[
            command(&["!idt"], "[VECTOR]", tables::idt, "Show where the gates lead, or one of them", ""),
            command(&["dg"], "FIRST [LAST]", tables::dg, "Show the segments of these selectors", ""),
            command(&["!gdt"], "", tables::gdt, "Show all segments of the GDT", ""),
            command(
                &["!descriptor"],
                "IDT | GDT | LDT INDEX",
                tables::descriptor,
                "Show a descriptor in words, and of a gate the segment that it leads to",
                "The layout is that of the extension of John Gulbrandsen's article; a size is as the descriptor has it, in bytes or pages.",
            ),
            command(
                &["!pte"],
                "ADDR",
                paging::pte,
                "Show the paging structures' entries for an address",
                "Addresses of entries are physical: this guest does not map its page tables. The letters are those of WinDbg: \
                 G global, L large, D dirty, A accessed, N not cached, T write-through, U or K, W or R, E executable, V valid.",
            ),
        ],
    },
    Family {
        title: "The system's structures",
        commands: &[
            command(
                &["dt"],
                "[-r] TYPE [ADDR] [FIELD]...",
                dt::dt,
                "Show a structure's fields, and what is in them at an address",
                "`dt nt!*` lists the structures. Of each there are the fields that the guest uses. -r opens structures within.",
            ),
            command(&["!pcr"], "", system::pcr, "Show the processor control region", ""),
            command(&["!thread"], "", system::thread, "Show the running thread, and its stack", ""),
            command(
                &["!trap"],
                "[ADDR]",
                system::trap,
                "Show a trap frame, the current one if no address is given",
                "",
            ),
            command(
                &[".trap"],
                "[ADDR]",
                system::choose_trap,
                "Let r, k and . be those of a trap frame; without an address, the processor's again",
                "A stop ends it.",
            ),
            command(
                &["!ssdt"],
                "[NUMBER | NAME]",
                system::ssdt,
                "Show the service table, or the row of one service: number, arguments, routine",
                "Read from the guest's memory as its dispatcher does it, packed rows and win32k's (1000 and above) too.",
            ),
            command(
                &["k"],
                "[COUNT]",
                stack::k,
                "Show who called whom, through the trap frame into ring 3",
                "A frame is found by its return address, the first word on the stack that stands behind a call; so the first column is \
                 the stack pointer. Where an entry has no frame yet, or `sysret` none any more, the registers tell where ring 3 was.",
            ),
        ],
    },
    Family {
        title: "Symbols and expressions",
        commands: &[
            command(
                &["x"],
                "PATTERN",
                symbols::x,
                "Show the symbols whose names fit a pattern",
                "* stands for any characters, ? for one. Without a module all are looked through.",
            ),
            command(&["ln"], "[ADDR]", symbols::ln, "Show the symbols around an address", ""),
            command(
                &[".reload"],
                "",
                symbols::reload,
                "Show what modules there are",
                "The symbols are the guest's own, made with its code: there is nothing to load again.",
            ),
            command(&["?"], "EXPRESSION", symbols::evaluate, "Show the value of an expression", EXPRESSIONS),
        ],
    },
    Family {
        title: "Breakpoints",
        commands: &[
            command(
                &["bp"],
                "ADDR",
                breakpoints::bp,
                "Stop before the instruction at an address",
                "Nothing is written into the code.",
            ),
            command(
                &["ba"],
                "eSIZE | rSIZE | wSIZE ADDR",
                breakpoints::ba,
                "Stop before an instruction (e1), or behind one that has accessed (r) or written (w) memory of SIZE bytes",
                "SIZE is 1, 2, 4 or 8, and ADDR a multiple of it.",
            ),
            command(&["bl"], "", breakpoints::bl, "Show the breakpoints", "e is enabled, d disabled."),
            command(&["bc"], "ID... | *", breakpoints::bc, "Take breakpoints away", ""),
            command(&["bd"], "ID... | *", breakpoints::bd, "Disable breakpoints", ""),
            command(&["be"], "ID... | *", breakpoints::be, "Enable breakpoints", ""),
        ],
    },
    Family {
        title: "Running, forwards and backwards",
        commands: &[
            command(
                &["g"],
                "[ADDR]",
                run::g,
                "Run to a breakpoint, to an address, or to the program's end",
                "^C stops it.",
            ),
            command(&["t"], "[COUNT]", run::t, "Do one instruction, into calls and into the kernel", ""),
            command(
                &["p"],
                "[COUNT]",
                run::p,
                "Do one instruction; a call, or an entry into the kernel, is one with all that it does",
                "",
            ),
            command(&["pc"], "", run::pc, "Run to the next call or entry into the kernel", ""),
            command(&["gu"], "", run::gu, "Run until the routine has returned, or ring 0 to ring 3", ""),
            command(
                &["wt"],
                "",
                wt::wt,
                "Run the routine to its end, and show what it called as a tree",
                "Instructions of its own, instructions of what it called, depth, routine: a line each time that another one begins or goes on. \
                 An entry into the kernel counts as a call.",
            ),
            command(
                &["call"],
                "SERVICE [ARGUMENT]...",
                call::call,
                "Begin one call of a service from ring 3",
                "Writes the arguments and a return address by the architecture's convention, and goes to the stub's first instruction; \
                 t, p, g or wt go on from there. Arguments that are left out are zero. It returns to the instruction that was next.",
            ),
            command(
                &["t-"],
                "[COUNT]",
                run::t_back,
                "Take back one instruction",
                "The machine is deterministic: it goes back to a snapshot and runs forwards again.",
            ),
            command(
                &["p-"],
                "[COUNT]",
                run::p_back,
                "Take back one instruction; a call, or an entry into the kernel, with all that it did",
                "",
            ),
            command(
                &["g-"],
                "",
                run::g_back,
                "Run backwards to where a breakpoint was last met, or to the beginning",
                "",
            ),
        ],
    },
    Family {
        title: "The session",
        commands: &[
            command(&[".help"], "[COMMAND]", help, "Show all commands, or what there is to know of one", ""),
            command(&["q"], "", quit, "End the session", ""),
        ],
    },
];

fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.commands)
}

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    all().find(|command| command.names.contains(&name))
}

/// The names of all commands.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().flat_map(|command| command.names).copied()
}

impl Command {
    /// The lines that show how it is written: one for each name if there are few.
    fn usage(&self) -> String {
        let line = |name: &&str| format!("{name} {}", self.usage).trim_end().to_owned();
        self.names.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What there is to know of it.
    fn text(&self) -> String {
        format!("{}. {}", self.summary, self.details).trim_end().to_owned()
    }
}

/// `.help`.
fn help(_: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let Some(name) = arguments.word() else {
        overview(out);
        return Ok(());
    };
    arguments.end()?;
    let command = find(&name.to_lowercase()).ok_or_else(|| super::unknown(name, place))?;
    say!(out, "{}", command.usage());
    say!(out, "{}", command.text());
    Ok(())
}

fn overview(out: &mut String) {
    for family in FAMILIES {
        say!(out, "{}", family.title);
        for command in family.commands {
            say!(out, "  {:<24} {}", command.names.join(" "), command.summary);
        }
    }
    say!(out, "`.help COMMAND` tells more of one, `.help ?` how expressions are written.");
}

/// `q`.
fn quit(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    arguments.end()?;
    kd.quit = true;
    Ok(())
}

/// How expressions are written.
const EXPRESSIONS: &str = "\
Numbers are hexadecimal; `0n10` is decimal, `0t17` octal, `0y101` binary, ``fffff780`00000000`` has 64 bits. A symbol is its
address (`ntdll!NtClose+5`; capitals do not matter, and the module may be left out), a register its value (`@eax`, or `eax`),
`.` the address of the instruction that is next. `by` `wo` `dwo` `qwo` `poi` read memory: `poi(7ffe0300)`. `not` `hi` `low` take
one operand; `* / %` (`mod`) `+ -`, `<< >>` (`shl`, `shr`), `= == != < > <= >=`, `& (and)`, `^ (xor)`, `| (or)` take two, the first of
these the strongest, and go from left to right.";

/// What is told before the commands.
const INTRODUCTION: &str = "\
# ntgate kd

`ntgate kd [--profile P] [--arch A] [-c COMMANDS]` is a session with WinDbg's commands on a booted guest. No debugger is attached
to anything: the guest runs on the bundled machine, and stands before its program's first instruction in ring 3. The machine is
deterministic, so every session with the same commands prints the same, and time goes backwards too.

Commands are separated by `;` or stand in lines of their own. Behind `*` a line is a remark, behind `$$` a command. With `-c`, or when standard input
is no terminal, the commands are a script: each is shown behind the prompt as if it had been typed. One that cannot be
understood is told with a caret under the place, the others are done all the same, and the exit status is then 2.";

/// The page of the manual.
pub(super) fn manual() -> String {
    let mut page = String::new();
    say!(page, "{INTRODUCTION}");
    for family in FAMILIES {
        say!(page, "\n## {}", family.title);
        for command in family.commands {
            let names: Vec<String> = command.names.iter().map(|name| format!("`{name}`")).collect();
            say!(page, "\n### {}\n\n```text\n{}\n```\n", names.join(", "), command.usage());
            say!(page, "{}", command.text());
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_commands() {
        let mut all: Vec<_> = names().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
