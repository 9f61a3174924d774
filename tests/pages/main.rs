//! The pages that the program writes, in a browser: `cargo test --test pages -- --ignored`, with chromium and chromedriver
//! (Debian: `chromium`, `chromium-driver`).

mod driver;

use std::path::PathBuf;
use std::process::Command;

use driver::Browser;

/// Keys by the protocol's names.
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const HOME: &str = "\u{e011}";
const END: &str = "\u{e010}";

/// A page that the program has written, in a directory that goes with it.
struct Written {
    directory: tempfile::TempDir,
    name: &'static str,
}

impl Written {
    fn new(arguments: &[&str], name: &'static str, status: i32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ntgate"));
        std::fs::write(directory.path().join("two.lst"), "NtClose 1\nNtReadFile 9\n").expect("it is written");
        command.args(arguments).args(["--html", name]).current_dir(directory.path());
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(status), "{}", String::from_utf8_lossy(&output.stderr));
        Self { directory, name }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(self.name)
    }
}

fn call(entry: &str) -> Written {
    let arguments = ["call", "NtWriteFile", "1", "2", "3", "4", "5", "6", "7", "8", "9", "--entry", entry];
    Written::new(&arguments, "call.html", 0)
}

/// The step that is shown, from 0 on.
fn step(browser: &Browser) -> u64 {
    browser.value("Number(document.documentElement.dataset.step)").as_u64().expect("a step")
}

/// What the rows of a box with this title show.
fn rows(browser: &Browser, title: &str) -> Vec<(String, String)> {
    let script = format!(
        "[...document.querySelectorAll('.first .panel')].filter((panel) => panel.querySelector('.title').textContent\
         .includes({title:?})).flatMap((panel) => [...panel.querySelectorAll('.row')]).map((row) => \
         [...row.querySelectorAll('text')].map((text) => text.textContent))"
    );
    let rows = browser.value(&script);
    let text = |value: &serde_json::Value| value.as_str().expect("it is text").trim().to_owned();
    rows.as_array().expect("a list").iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

fn row(browser: &Browser, title: &str, label: &str) -> String {
    let found = rows(browser, title).into_iter().find(|row| row.0 == label);
    found.unwrap_or_else(|| panic!("{title} has no {label}")).1
}

#[test]
#[ignore = "needs Chromium"]
fn keys_step_through_a_call() {
    let page = call("int2e");
    let browser = Browser::start();
    browser.open(&page.path());
    assert_eq!(step(&browser), 0);
    // Nothing is known of the frame before the gate, and everything the processor pushed after it.
    assert!(rows(&browser, "KTRAP_FRAME").iter().all(|row| row.1 == "·"));
    browser.press(&[RIGHT, RIGHT, RIGHT, RIGHT]);
    assert_eq!(step(&browser), 4);
    let now = browser.value("document.querySelector('#now').textContent");
    assert_eq!(now, "ring 3, ntdll!KiIntSystemCall: int 2Eh");
    let current = browser.value("document.querySelectorAll('.first [aria-current=step]').length");
    assert_eq!(current, 1);
    assert_eq!(row(&browser, "KTRAP_FRAME", "SegCs"), "0000001b");
    assert_eq!(row(&browser, "KTRAP_FRAME", "ErrCode"), "·");
    assert_eq!(row(&browser, "int 2Eh", "CS"), "001b → 0008");
    let written = browser.value("[...document.querySelectorAll('.first .row.write')].length");
    assert_eq!(written, 7, "five slots, CS and SS");
    browser.press(&[LEFT]);
    assert_eq!(step(&browser), 3);
    assert_eq!(row(&browser, "KTRAP_FRAME", "SegCs"), "·");
    browser.press(&[END]);
    let last = browser.value("document.querySelectorAll('.first .steps ol > li').length").as_u64().expect("a number");
    assert_eq!(step(&browser), last - 1);
    assert_eq!(row(&browser, "copied to the kernel", "argument 9"), "00000009");
    assert_eq!(row(&browser, "the service", "status"), "00000000 STATUS_SUCCESS");
    browser.press(&[RIGHT]);
    assert_eq!(step(&browser), last - 1, "there is nothing beyond");
    browser.press(&[HOME]);
    assert_eq!(step(&browser), 0);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium"]
fn it_plays_and_shows_both_ways_side_by_side() {
    let page = call("sysenter");
    let browser = Browser::start();
    browser.open(&page.path());
    browser.press(&[" "]);
    assert_eq!(browser.value("document.querySelector('#play').getAttribute('aria-pressed')"), "true");
    while step(&browser) == 0 {
        std::thread::yield_now();
    }
    browser.press(&[" "]);
    assert_eq!(browser.value("document.querySelector('#play').getAttribute('aria-pressed')"), "false");
    let shown = "getComputedStyle(document.querySelector('.second')).display";
    assert_eq!(browser.value(shown), "none");
    browser.press(&["b"]);
    assert_eq!(browser.value(shown), "block");
    browser.press(&[HOME, RIGHT, RIGHT, RIGHT, RIGHT]);
    let doors = browser.value("[...document.querySelectorAll('.steps li.now .text')].map((text) => text.textContent)");
    assert_eq!(doors, serde_json::json!(["sysenter", "int 2Eh"]), "both are at the door");
    browser.press(&[END]);
    let phases = browser.value("[...document.querySelectorAll('.steps li.now')].map((step) => step.dataset.p)");
    assert_eq!(phases, serde_json::json!(["3", "3"]), "both are on the way back");
    // Its slider is one of the browser's own.
    browser.value("document.querySelector('#step').focus()");
    browser.press(&[HOME]);
    assert_eq!(step(&browser), 0);
    let text = browser.value("document.querySelector('#step').getAttribute('aria-valuetext')");
    assert!(text.as_str().is_some_and(|text| text.starts_with("step 1 of ")), "{text}");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium"]
fn it_is_drawn_light_dark_and_on_paper() {
    let page = call("int2e");
    let browser = Browser::start();
    let blank = browser.screenshot();
    browser.open(&page.path());
    let light = browser.screenshot();
    // A picture with text and lines takes many times what an empty one does.
    assert!(light.len() > 10 * blank.len(), "{} and {}", light.len(), blank.len());
    browser.press(&[RIGHT, RIGHT, RIGHT, RIGHT]);
    assert_ne!(browser.screenshot(), light);
    let ground = "getComputedStyle(document.body).backgroundColor";
    let paper = browser.value(ground);
    browser.emulate("screen", "dark");
    assert_ne!(browser.value(ground), paper);
    assert_ne!(browser.screenshot(), light);
    browser.emulate("print", "light");
    let controls = "getComputedStyle(document.querySelector('.controls')).display";
    assert_eq!(browser.value(controls), "none");
    let hidden = "[...document.querySelectorAll('.steps ol > li ul')].filter((list) => getComputedStyle(list).display === 'none').length";
    assert_eq!(browser.value(hidden), 0, "paper shows what happened in every step");
    // A sheet is narrow, and cannot be scrolled.
    browser.resize(700);
    let cut = "Math.max(...[...document.querySelectorAll('.scene-frame')].map((frame) => frame.scrollWidth - frame.clientWidth))";
    assert_eq!(browser.value(cut), 0);
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_is_wider_than_a_narrow_window() {
    let page = call("sysenter");
    let browser = Browser::start();
    browser.open(&page.path());
    for width in [360, 800, 1280, 1920] {
        browser.resize(width);
        let beyond = browser.value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(beyond, 0, "{width}");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_proof_is_a_page_too() {
    let page = Written::new(&["prove", "two.lst", "--arch", "i386", "--profile", "nt4"], "proof.html", 0);
    let browser = Browser::start();
    browser.open(&page.path());
    assert_eq!(browser.value("document.querySelector('h1').textContent"), "two.lst: proven");
    assert_eq!(browser.value("document.querySelectorAll('td.good').length > 4"), true);
    assert_eq!(browser.value("document.querySelectorAll('.bad').length"), 0);
    assert_eq!(browser.console(), Vec::<String>::new());
}
