/* What moves in the pages of this book. Without it every page can be read all the same. */
"use strict";

(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));

  /* Light, dark, or as the system has it */
  const system = matchMedia("(prefers-color-scheme: dark)");
  const MODES = { auto: "Auto", light: "Light", dark: "Dark" };
  function showMode(mode) {
    root.dataset.mode = mode;
    root.dataset.theme = mode === "auto" ? (system.matches ? "dark" : "light") : mode;
    const button = document.getElementById("switch-theme");
    if (button) {
      button.querySelector("span").textContent = MODES[mode];
      button.title = `Colors: ${MODES[mode].toLowerCase()}`;
    }
  }
  system.addEventListener("change", () => showMode(root.dataset.mode));

  function switchMode() {
    const order = system.matches ? ["auto", "light", "dark"] : ["auto", "dark", "light"];
    const mode = order[(order.indexOf(root.dataset.mode) + 1) % order.length];
    try { localStorage.setItem("mode", mode); } catch { /* no storage: for this page only */ }
    showMode(mode);
  }

  /* On a phone the contents open over the page */
  function prepareContents() {
    const button = document.getElementById("open-contents");
    const contents = document.getElementById("contents");
    function open(wanted) {
      root.classList.toggle("contents-open", wanted);
      button.setAttribute("aria-expanded", String(wanted));
      if (wanted) contents.querySelector("a, input").focus({ preventScroll: true });
    }
    const isOpen = () => root.classList.contains("contents-open");
    button.addEventListener("click", () => open(!isOpen()));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && isOpen()) { open(false); button.focus(); }
    });
    document.addEventListener("click", (event) => {
      if (isOpen() && !contents.contains(event.target) && !button.contains(event.target)) open(false);
    });
    contents.addEventListener("focusout", (event) => {
      if (isOpen() && event.relatedTarget && !contents.contains(event.relatedTarget) && event.relatedTarget !== button) open(false);
    });
    const current = contents.querySelector("a.current");
    if (current) contents.scrollTop = current.offsetTop - contents.offsetTop - contents.clientHeight / 3;
  }

  /* Ctrl+K, or a slash, leads to the search */
  function prepareSearch() {
    const box = document.getElementById("search-box");
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, textarea, select, [contenteditable]");
      const control = event.ctrlKey || event.metaKey;
      const asked = control ? event.key.toLowerCase() === "k" && !event.shiftKey : event.key === "/" && !typing;
      if (!asked || event.altKey) return;
      event.preventDefault();
      if (!box.checkVisibility({ visibilityProperty: true })) document.getElementById("open-contents").click();
      box.focus();
      box.select();
    });
  }

  /* Code can be copied; outputs too would be in the way */
  function addCopyButtons() {
    if (!navigator.clipboard) return;
    for (const block of all("div.highlight")) {
      if (block.closest(".cell_output")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        const text = block.querySelector("pre").textContent.trimEnd();
        button.textContent = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not allowed");
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
      block.append(button);
    }
  }

  /* What scrolls sideways can be scrolled with the keyboard */
  function makeScrollable() {
    for (const box of all("pre, .cell_output, .math-block, .math-long, .pst-scrollable-table-container")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  /* Where in the page we are */
  function followSections() {
    const links = new Map();
    for (const link of all(".page-toc a")) {
      const section = document.getElementById(decodeURIComponent(link.hash.slice(1)));
      if (section) links.set(section.querySelector("h1, h2, h3, h4") || section, link);
    }
    if (!links.size) return;
    let current = null;
    function follow() {
      let last = null;
      for (const heading of links.keys()) {
        if (heading.getBoundingClientRect().top < innerHeight / 3) last = heading;
      }
      if (last === current) return;
      for (const link of links.values()) link.removeAttribute("aria-current");
      if (last) links.get(last).setAttribute("aria-current", "true");
      current = last;
    }
    let asked = false;
    addEventListener("scroll", () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => { asked = false; follow(); });
    }, { passive: true });
    follow();
  }

  /* A link to a term, a work, an equation or another page shows what it leads to. The texts are
     in the page already, as <template>s. */
  function preparePreviews() {
    const bubble = document.createElement("div");
    bubble.className = "preview";
    bubble.id = "preview";
    bubble.setAttribute("role", "tooltip");
    bubble.hidden = true;
    document.getElementById("main-content").append(bubble);
    let shownFor = null;
    let timer = 0;

    function hide() {
      clearTimeout(timer);
      if (shownFor) shownFor.removeAttribute("aria-describedby");
      shownFor = null;
      bubble.hidden = true;
    }
    function show(link) {
      const template = document.getElementById(link.dataset.preview);
      if (!template || shownFor === link) return;
      hide();
      bubble.replaceChildren(template.content.cloneNode(true));
      bubble.hidden = false;
      const at = link.getClientRects()[0] || link.getBoundingClientRect();
      const frame = bubble.offsetParent.getBoundingClientRect();
      const left = Math.max(12, Math.min(at.left, root.clientWidth - bubble.offsetWidth - 12));
      const below = at.bottom + 8 + bubble.offsetHeight <= innerHeight || at.top < bubble.offsetHeight + 72;
      const top = below ? at.bottom + 6 : at.top - bubble.offsetHeight - 6;
      bubble.style.left = `${left - frame.left}px`;
      bubble.style.top = `${top - frame.top}px`;
      link.setAttribute("aria-describedby", bubble.id);
      shownFor = link;
    }
    const later = (action, wait) => { clearTimeout(timer); timer = setTimeout(action, wait); };
    for (const link of all("a[data-preview]")) {
      link.removeAttribute("title");
      link.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") later(() => show(link), 180); });
      link.addEventListener("pointerleave", () => later(hide, 220));
      link.addEventListener("focus", () => { if (link.matches(":focus-visible")) show(link); });
      link.addEventListener("blur", hide);
    }
    bubble.addEventListener("pointerenter", () => clearTimeout(timer));
    bubble.addEventListener("pointerleave", () => later(hide, 220));
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    addEventListener("resize", hide);
  }

  /* On paper nothing is folded, and paper is white */
  function preparePrint() {
    let theme = "";
    let folded = [];
    addEventListener("beforeprint", () => {
      theme = root.dataset.theme;
      root.dataset.theme = "light";
      folded = all("details.solution:not([open])");
      for (const each of folded) each.open = true;
    });
    addEventListener("afterprint", () => {
      root.dataset.theme = theme;
      for (const each of folded) each.open = false;
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    showMode(root.dataset.mode);
    document.getElementById("switch-theme").addEventListener("click", switchMode);
    prepareContents();
    prepareSearch();
    addCopyButtons();
    makeScrollable();
    addEventListener("resize", makeScrollable);
    addEventListener("load", makeScrollable);
    addEventListener("toggle", makeScrollable, true);
    followSections();
    preparePreviews();
    preparePrint();
  });
})();
