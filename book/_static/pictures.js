// Pictures open large; "before" and "after" get a slider; films can be moved by hand.
// Without this file pictures are links to their files, and the first and the last of
// several stand side by side.
(() => {
  "use strict";

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // --- Large

  let dialog, large, caption;

  function makeDialog() {
    const close = make("button", { type: "button", class: "lightbox-close", "aria-label": "Close" });
    close.innerHTML =
      '<svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><path d="M5 5l14 14M19 5L5 19" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>';
    large = make("img");
    caption = make("figcaption");
    dialog = make("dialog", { class: "lightbox", "aria-label": "The picture, large" },
      close, make("figure", {}, large, caption));
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (!caption.contains(event.target)) dialog.close();
    });
    large.addEventListener("load", fit);
    window.addEventListener("resize", () => dialog.open && fit());
    document.body.append(dialog);
  }

  // At its own pixels, or each of them a square of several; smaller only where there is no room.
  function fit() {
    const { naturalWidth: width, naturalHeight: height } = large;
    if (!width) return;
    const down = 0.96 * window.innerHeight - 56 - caption.offsetHeight;
    const most = Math.min((0.96 * window.innerWidth) / width, down / height);
    const scale = large.dataset.kind === "pixels" ? Math.max(1, Math.floor(most))
      : large.dataset.kind === "lines" ? most : 1;
    large.width = Math.round(width * Math.min(scale, most));
    large.height = Math.round(height * Math.min(scale, most));
    large.classList.toggle("enlarged", scale > 1 && large.dataset.kind === "pixels");
  }

  function open(link) {
    if (!dialog) makeDialog();
    const small = link.querySelector("img");
    const figure = link.closest("figure");
    large.dataset.kind = link.closest(".pictures") || /\.jpe?g($|\?)/.test(link.href) ? "pixels"
      : /\.svg($|\?)/.test(link.href) ? "lines" : "plot";
    large.removeAttribute("src");
    large.alt = small.alt;
    large.width = small.naturalWidth || small.width;
    large.height = small.naturalHeight || small.height;
    large.src = link.href;
    const said = figure && figure.querySelector("figcaption");
    caption.replaceChildren(...(said ? said.cloneNode(true).childNodes : []));
    for (const permalink of caption.querySelectorAll(".headerlink")) permalink.remove();
    dialog.showModal();
    fit();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.opens");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(link.dataset.opens ? document.getElementById(link.dataset.opens) : link);
  });

  for (const link of document.querySelectorAll("a.opens")) {
    link.setAttribute("aria-haspopup", "dialog");
  }

  // --- Before and after

  let count = 0;

  for (const pair of document.querySelectorAll(".pictures.compare")) {
    const links = [...pair.querySelectorAll("a.opens")];
    if (!customElements.get("image-compare") || links.length !== 2) {
      pair.classList.add("still");
      continue;
    }
    const names = links.map((link) => link.querySelector("img").alt);
    const slider = make("image-compare", {
      "label-text": `How much of "${names[0]}" is shown, in per cent; the rest is "${names[1]}"`,
    });
    links.forEach((link, at) => {
      const image = link.querySelector("img").cloneNode();
      image.slot = `image-${at + 1}`;
      image.alt = names[at];
      slider.append(image);
      link.id = `compared-${(count += 1)}`;
    });
    slider.style.width = `${links[0].querySelector("img").getAttribute("width")}px`;
    const labels = links.map((link, at) =>
      make("a", { class: "opens", href: link.href, "aria-haspopup": "dialog", "data-opens": link.id },
        names[at]));
    pair.prepend(slider, make("p", { class: "compare-labels" }, ...labels));
    pair.classList.add("moves");
  }

  // --- One after the other

  for (const strip of document.querySelectorAll(".pictures.filmstrip")) {
    const frames = [...strip.querySelectorAll("figure")];
    const titles = frames.map((frame) => frame.querySelector("img").alt);
    const slider = make("input", { type: "range", min: 0, max: frames.length - 1, step: 1 });
    slider.value = frames.length - 1;
    const show = () => {
      frames.forEach((frame, at) => frame.classList.toggle("shown", at === Number(slider.value)));
      slider.setAttribute("aria-valuetext", titles[slider.value]);
    };
    slider.addEventListener("input", show);
    strip.append(make("label", { class: "filmstrip-slider" },
      make("span", {}, strip.dataset.label || strip.getAttribute("aria-label")), slider));
    strip.classList.add("moves");
    show();
  }
})();
