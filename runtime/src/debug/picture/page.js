"use strict";
// Steps through the calls of this page. All that is shown stands in the document; this only says up to where.
(() => {
  const root = document.documentElement;
  const all = document.querySelector(".calls");
  const calls = [...document.querySelectorAll(".call")].map((call) => {
    const rows = new Map([...call.querySelectorAll(".row")].map((row) => [row.dataset.k, row]));
    const steps = [...call.querySelectorAll(".steps ol > li")];
    return { call, rows, steps, list: call.querySelector(".steps") };
  });
  const first = calls[0];
  const slider = document.querySelector("#step");
  const count = document.querySelector("#count");
  const line = document.querySelector("#now");
  const play = document.querySelector("#play");
  const both = document.querySelector("#both");
  const last = first.steps.length - 1;
  let at = 0;
  let timer = 0;

  function value(row) {
    return row.querySelector(".value");
  }

  // Rows show what the steps up to here have left in them.
  function draw(one, index) {
    for (const row of one.rows.values()) {
      row.classList.remove("set", "read", "write");
      value(row).textContent = value(row).dataset.first;
      row.classList.toggle("set", !["·", ""].includes(value(row).dataset.first));
    }
    for (const panel of one.call.querySelectorAll(".panel.hot")) panel.classList.remove("hot");
    for (let step = 0; step <= index; step++) {
      const marks = one.steps[step].dataset.m;
      for (const mark of marks ? marks.split(";") : []) {
        const [, key, how, text] = /^([^=!]+)([=!])(.*)$/.exec(mark);
        const row = one.rows.get(key);
        if (text) value(row).textContent = text;
        row.classList.add("set");
        if (step === index) {
          row.classList.add(how === "!" ? "write" : "read");
          row.parentElement.classList.add("hot");
        }
      }
    }
    const phase = Number(one.steps[index].dataset.p);
    for (const arrow of one.call.querySelectorAll(".arrow")) {
      arrow.classList.toggle("done", Number(arrow.dataset.phase) < phase);
      arrow.classList.toggle("now", Number(arrow.dataset.phase) === phase);
    }
    const before = one.list.querySelector(".now");
    if (before) {
      before.classList.remove("now");
      before.removeAttribute("aria-current");
    }
    const now = one.steps[index];
    now.classList.add("now");
    now.setAttribute("aria-current", "step");
    // Within the list only: the page itself stays where it is.
    one.list.scrollTop = now.offsetTop - one.list.offsetTop - one.list.clientHeight / 3;
  }

  // The other call is shown where it is as far in the same part of its way, in the same ring: both at the door at once.
  function twin(one) {
    const part = (step) => step.dataset.p + step.dataset.r;
    const here = part(first.steps[at]);
    const places = (call) => call.steps.map((step, index) => (part(step) === here ? index : -1)).filter((index) => index >= 0);
    const [mine, theirs] = [places(first), places(one)];
    if (theirs.length === 0) return 0;
    const far = mine.length > 1 ? mine.indexOf(at) / (mine.length - 1) : 0;
    return theirs[Math.round(far * (theirs.length - 1))];
  }

  function show(index) {
    at = Math.max(0, Math.min(last, index));
    draw(first, at);
    for (const one of calls.slice(1)) draw(one, twin(one));
    const now = first.steps[at];
    const words = now.querySelector(".text").textContent;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `step ${at + 1} of ${last + 1}, ring ${now.dataset.r}: ${words}`);
    count.textContent = `${at + 1} / ${last + 1}`;
    line.textContent = `ring ${now.dataset.r}, ${now.closest("section").dataset.name}: ${words}`;
    root.dataset.step = at;
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "▶ play";
  }

  function toggle() {
    if (timer) return stop();
    if (at === last) show(0);
    play.setAttribute("aria-pressed", "true");
    play.textContent = "❚❚ pause";
    timer = setInterval(() => (at < last ? show(at + 1) : stop()), 350);
  }

  function compare() {
    if (!both) return;
    const on = !all.classList.contains("both");
    all.classList.toggle("both", on);
    both.setAttribute("aria-pressed", String(on));
    show(at);
  }

  function go(index) {
    stop();
    show(index);
  }

  const keys = {
    ArrowRight: () => go(at + 1),
    ArrowLeft: () => go(at - 1),
    Home: () => go(0),
    End: () => go(last),
    b: compare,
  };
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const button = event.target.closest("button");
    if (event.key === " " && !button) {
      event.preventDefault();
      toggle();
    } else if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  slider.max = last;
  slider.addEventListener("input", () => go(Number(slider.value)));
  play.addEventListener("click", toggle);
  document.querySelector("#back").addEventListener("click", () => go(at - 1));
  document.querySelector("#on").addEventListener("click", () => go(at + 1));
  if (both) both.addEventListener("click", compare);
  first.steps.forEach((step, index) => step.addEventListener("click", () => go(index)));
  // Paper shows the end of the call.
  addEventListener("beforeprint", () => calls.forEach((one) => draw(one, one.steps.length - 1)));
  addEventListener("afterprint", () => show(at));
  root.classList.add("js");
  const wanted = /^#step=(\d+)$/.exec(location.hash);
  show(wanted ? Number(wanted[1]) - 1 : 0);
})();
