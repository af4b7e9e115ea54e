// The page "Convolution, step by step": controls, three drawings and the sum in words. The numbers
// come from convolution.js. Everything is drawn from `state`, anew after each change.
"use strict";
(() => {
  const {reach, outputSize, terms, sum, convolve, parse, written} = globalThis.fastconvSteps;
  const CELL = 40;  // units of the drawings, which scale with the page
  const STEP_MILLISECONDS = 900;
  // Limits of the fields. Larger drawings have cells that a finger cannot hit and an eye cannot read.
  const FIELDS = [
    {name: "image", label: "Image", least: 1, most: 12, value: [5, 6]},
    {name: "kernel", label: "Kernel", least: 1, most: 7, value: [3, 3]},
    {name: "stride", label: "Stride", least: 1, most: 6, value: [1, 1]},
    {name: "padding", label: "Padding", least: 0, most: 4, value: [1, 1]},
    {name: "dilation", label: "Dilation", least: 1, most: 4, value: [1, 1]},
  ];
  const KERNELS = {
    "ones": () => 1,
    "the pixel itself": (kh, kw, KH, KW) => +(kh === (KH - 1) >> 1 && kw === (KW - 1) >> 1),
    "vertical edges": (kh, kw, KH, KW) => Math.sign(2 * kw - (KW - 1)),
    "horizontal edges": (kh, kw, KH) => Math.sign(2 * kh - (KH - 1)),
    "random": () => Math.floor(7 * Math.random()) - 3,
  };

  function element(name, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "text", "title"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function table(rows, columns, value) {
    return Array.from({length: rows}, (_, row) =>
      Array.from({length: columns}, (_, column) => value(row, column)));
  }

  const textOf = (rows) => rows.map((row) => row.join(" ")).join("\n");
  const size = (rows) => `${rows.length} x ${rows[0].length}`;

  // A grid of numbers. `cell(row, column)` gives {text, kind}; kind names the colours of site.css.
  function grid(rows, columns, cell, words) {
    const drawing = element("svg", {
      viewBox: `-1 -1 ${columns * CELL + 2} ${rows * CELL + 2}`, role: "img", "aria-label": words,
      width: columns * CELL + 2,
    });
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const {text, kind} = cell(row, column);
        const small = text.length > 4 ? " small" : "";
        const place = element("g", {
          class: `cell ${kind}`, "data-row": row, "data-column": column,
          transform: `translate(${column * CELL} ${row * CELL})`,
        });
        place.append(element("rect", {width: CELL, height: CELL}));
        place.append(element("text", {class: `number${small}`, x: CELL / 2, y: CELL / 2}, text));
        drawing.append(place);
      }
    }
    return drawing;
  }

  function build(root) {
    const state = {x: [], w: [], layout: {}, step: 0, timer: null};
    const parts = {};
    const named = (name, made) => (parts[name] = made);

    function pairOf(field) {
      return [0, 1].map((axis) => parts[`${field.name}${axis}`].valueAsNumber);
    }

    // ---- controls ----
    function numberField(field, axis) {
      const words = `${field.label}, ${["rows", "columns"][axis]}`;
      const input = named(`${field.name}${axis}`, element("input", {
        type: "number", min: field.least, max: field.most, step: 1, inputmode: "numeric",
        value: field.value[axis], "aria-label": words, "data-field": `${field.name}${axis}`,
      }));
      input.addEventListener("change", () => {
        const given = Math.round(input.valueAsNumber);
        const value = Number.isFinite(given) ? given : field.value[axis];
        input.value = Math.min(field.most, Math.max(field.least, value));
        if (field.name === "image") fill("x", random);
        if (field.name === "kernel") fillKernel();
        read();
      });
      return input;
    }

    const random = () => Math.floor(10 * Math.random());

    function fill(which, value) {
      const field = FIELDS.find(({name}) => name === (which === "x" ? "image" : "kernel"));
      const [rows, columns] = pairOf(field);
      parts[which].value = textOf(table(rows, columns, (r, c) => value(r, c, rows, columns)));
    }

    const fillKernel = () => fill("w", KERNELS[parts.preset.value]);

    function numbers(which, label) {
      const area = named(which, element("textarea", {
        rows: 3, spellcheck: "false", autocomplete: "off", "data-field": which,
      }));
      area.addEventListener("input", read);
      return element("label", {}, element("span", {}, label), area);
    }

    function button(name, words, pressed) {
      const made = named(name, element("button", {
        type: "button", class: "md-button", "data-action": name}, words));
      made.addEventListener("click", pressed);
      return made;
    }

    function sizes() {
      const head = element("tr", {}, element("td"), ...["rows", "columns"].map((word) =>
        element("th", {scope: "col"}, word)));
      const rows = FIELDS.map((field) => element("tr", {},
        element("th", {scope: "row"}, field.label),
        ...[0, 1].map((axis) => element("td", {}, numberField(field, axis)))));
      return element("table", {class: "sizes"}, element("tbody", {}, head, ...rows));
    }

    function kernelChoice() {
      const choice = named("preset", element("select", {"data-field": "preset"},
        ...Object.keys(KERNELS).map((name) => element("option", {}, name))));
      choice.value = "vertical edges";
      choice.addEventListener("change", () => { fillKernel(); read(); });
      return element("label", {}, element("span", {}, "Fill the kernel with"), choice);
    }

    function walk() {
      const slider = named("slider", element("input", {
        type: "range", min: 0, step: 1, value: 0, "aria-label": "Step", "data-field": "slider"}));
      slider.addEventListener("input", () => { stop(); go(slider.valueAsNumber); });
      return element("div", {class: "walk", role: "group", "aria-label": "Steps"},
        button("previous", "Previous", () => { stop(); go(state.step - 1); }),
        button("play", "Play", () => (state.timer === null ? play() : stop())),
        button("next", "Next", () => { stop(); go(state.step + 1); }),
        slider, named("count", element("output", {class: "count"})));
    }

    // ---- what changes ----
    function read() {
      stop();
      state.layout = {};
      for (const field of FIELDS) {
        if (field.name !== "image" && field.name !== "kernel") state.layout[field.name] = pairOf(field);
      }
      const x = parse(parts.x.value), w = parse(parts.w.value);
      let wrong = typeof x === "string" ? `Image: ${x}.` : typeof w === "string" ? `Kernel: ${w}.` : "";
      if (!wrong) {
        const limits = [["Image", x, FIELDS[0].most], ["Kernel", w, FIELDS[1].most]];
        const large = limits.find(([, t, most]) => Math.max(t.length, t[0].length) > most);
        if (large) wrong = `${large[0]}: at most ${large[2]} rows and columns are drawn.`;
      }
      if (!wrong) {
        [state.x, state.w] = [x, w];
        parts.x.rows = parts.w.rows = Math.max(x.length, w.length, 3);
        [[0, x], [1, w]].forEach(([at, t]) => [t.length, t[0].length].forEach((extent, axis) => {
          parts[`${FIELDS[at].name}${axis}`].value = extent;
        }));
        [0, 1].forEach((axis) => {
          if (!wrong && outputSize(x, w, state.layout)[axis] < 1) wrong = doesNotFit(axis);
        });
      }
      parts.wrong.textContent = wrong;
      parts.shown.hidden = parts.walk.hidden = wrong !== "";
      if (wrong) return;
      state.y = convolve(state.x, state.w, state.layout);
      parts.slider.max = state.y.length * state.y[0].length - 1;
      parts.formula.replaceChildren(formula(0), "\n", formula(1));
      drawInput();
      show("weights", `Kernel, ${size(w)}`, grid(
        w.length, w[0].length, (kh, kw) => ({text: written(w[kh][kw]), kind: "weight"}),
        `Kernel: ${w.map((row) => row.map(written).join(" ")).join("; ")}`));
      go(0);
    }

    function doesNotFit(axis) {
      const extent = [state.x.length, state.x[0].length][axis] + 2 * state.layout.padding[axis];
      const kernel = [state.w.length, state.w[0].length][axis];
      const word = ["rows", "columns"][axis];
      return `The kernel reaches over ${reach(kernel, state.layout.dilation[axis])} ${word}, ` +
        `and the padded image has ${extent}: there is no output.`;
    }

    function formula(axis) {
      const letter = "HW"[axis], {stride, padding, dilation} = state.layout;
      const [I, K] = [state.x, state.w].map((t) => [t.length, t[0].length][axis]);
      return `O${letter} = (I${letter} + 2 * padding - dilation * (K${letter} - 1) - 1) // stride + 1\n` +
        `   = (${I} + 2 * ${padding[axis]} - ${dilation[axis]} * (${K} - 1) - 1) // ${stride[axis]} + 1\n` +
        `   = ${outputSize(state.x, state.w, state.layout)[axis]}`;
    }

    function go(step) {
      const last = parts.slider.valueAsNumber >= 0 ? Number(parts.slider.max) : 0;
      state.step = Math.min(last, Math.max(0, step));
      parts.slider.value = state.step;
      const columns = state.y[0].length;
      draw(Math.floor(state.step / columns), state.step % columns, last);
    }

    // ---- drawings ----
    // The padded image with the frame around the pixels that the kernel reaches over.
    function drawInput() {
      const {x, w, layout} = state;
      const [top, left] = layout.padding;
      const zeros = top + left > 0 ? ", with the zeros of the padding" : "";
      const drawing = grid(x.length + 2 * top, x[0].length + 2 * left, (row, column) => {
        const [ih, iw] = [row - top, column - left];
        const inside = ih >= 0 && ih < x.length && iw >= 0 && iw < x[0].length;
        return {text: written(inside ? x[ih][iw] : 0), kind: inside ? "pixel" : "zero"};
      }, `Image, ${size(x)}${zeros}`);
      const [height, width] = [reach(w.length, layout.dilation[0]), reach(w[0].length, layout.dilation[1])];
      drawing.append(named("frame", element("rect", {
        class: "frame", height: height * CELL, width: width * CELL})));
      show("input", `Image, ${size(x)}${zeros}`, drawing);
      state.cells = new Map([...drawing.querySelectorAll(".cell")].map((cell) =>
        [`${cell.dataset.row - top} ${cell.dataset.column - left}`, cell]));
    }

    function moveWindow(found, oh, ow) {
      for (const cell of state.cells.values()) cell.classList.remove("under");
      for (const {ih, iw} of found) state.cells.get(`${ih} ${iw}`).classList.add("under");
      const [down, right] = [oh, ow].map((at, axis) => at * state.layout.stride[axis] * CELL);
      parts.frame.style.transform = `translate(${right}px, ${down}px)`;
    }

    function draw(oh, ow, last) {
      const {x, w, y, layout} = state;
      const found = terms(x, w, layout, oh, ow);
      const place = `row ${oh}, column ${ow}`;
      parts.count.textContent = `step ${state.step + 1} of ${last + 1}`;
      parts.previous.disabled = state.step === 0;
      parts.next.disabled = state.step === last;
      moveWindow(found, oh, ow);
      const output = grid(y.length, y[0].length, (row, column) => {
        const order = row * y[0].length + column;
        const kind = order === state.step ? "now" : order < state.step ? "done" : "open";
        return {text: order <= state.step ? written(y[row][column]) : "", kind};
      }, `Output. The number in ${place} is ${written(y[oh][ow])}.`);
      output.addEventListener("click", (event) => {
        const cell = event.target.closest(".cell");
        if (cell === null) return;
        stop();
        go(Number(cell.dataset.row) * y[0].length + Number(cell.dataset.column));
      });
      show("output", `Output, ${size(y)}`, output);
      const products = found.map((term) => element("span", {class: term.inside ? "term" : "term zero"},
        `${written(term.weight)} \u00b7 ${written(term.pixel)}`));
      const joined = products.flatMap((product, i) => (i === 0 ? [product] : [" + ", product]));
      const total = element("strong", {}, written(sum(found)));
      parts.sum.replaceChildren(`y[${oh}, ${ow}] = `, ...joined, " = ", total);
      parts.said.textContent = `${place}: ${written(sum(found))}`;
    }

    function show(name, words, drawing) {
      parts[name].style.width = `${drawing.getAttribute("width")}px`;
      parts[name].replaceChildren(element("figcaption", {}, words), drawing);
    }

    // ---- play ----
    function play() {
      if (state.step === Number(parts.slider.max)) go(0);
      parts.play.textContent = "Pause";
      state.timer = setInterval(() => {
        go(state.step + 1);
        if (state.step === Number(parts.slider.max)) stop();
      }, STEP_MILLISECONDS);
    }

    function stop() {
      if (state.timer !== null) clearInterval(state.timer);
      state.timer = null;
      parts.play.textContent = "Play";
    }

    const fills = element("div", {class: "fills"}, kernelChoice(),
      button("random", "Random image", () => { fill("x", random); read(); }));
    const settings = element("div", {class: "settings"}, sizes(), fills);
    const byHand = element("div", {class: "by-hand"}, numbers("x", "Image by hand, a line for each row"),
      numbers("w", "Kernel by hand, a line for each row"));
    const figures = ["input", "weights", "output"].map((name) =>
      named(name, element("figure", {"data-figure": name})));
    named("walk", walk());
    named("wrong", element("p", {class: "wrong", role: "alert"}));
    named("shown", element("div", {class: "shown"},
      element("div", {class: "figures"}, ...figures),
      named("sum", element("p", {class: "sum"})),
      named("formula", element("pre", {class: "formula"}))));
    named("said", element("p", {class: "said", "aria-live": "polite"}));
    root.replaceChildren(settings, parts.wrong, parts.walk, parts.shown, byHand, parts.said);
    fill("x", random);
    fillKernel();
    read();
  }

  function start() {
    const root = document.getElementById("convolution-steps");
    if (root !== null) build(root);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
