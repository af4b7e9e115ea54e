// A convolution of one image with one kernel, taken apart into its steps. No drawing, no page.
//
//   y[oh][ow] = sum over kh, kw of w[kh][kw] * x[ih][iw]
//     with ih = oh * stride - padding + kh * dilation, iw alike, and x = 0 outside the image
//
// `layout` is {stride, padding, dilation}, each a pair [of rows, of columns].
"use strict";
globalThis.fastconvSteps = (() => {
  // Pixels that a kernel of `kernel` places reaches over.
  function reach(kernel, dilation) {
    return dilation * (kernel - 1) + 1;
  }

  // OH or OW; below 1 the kernel does not fit into the padded image.
  function outputExtent(extent, kernel, stride, padding, dilation) {
    return Math.floor((extent + 2 * padding - reach(kernel, dilation)) / stride) + 1;
  }

  // [OH, OW] of an image and a kernel, both arrays of rows.
  function outputSize(x, w, layout) {
    const size = (t) => [t.length, t[0].length];
    return [0, 1].map((axis) => outputExtent(
      size(x)[axis], size(w)[axis], layout.stride[axis], layout.padding[axis], layout.dilation[axis]));
  }

  // The terms of y[oh][ow] in the order of the kernel: a place of w, a pixel, and their product.
  function terms(x, w, layout, oh, ow) {
    const found = [];
    for (let kh = 0; kh < w.length; kh++) {
      for (let kw = 0; kw < w[0].length; kw++) {
        const ih = oh * layout.stride[0] - layout.padding[0] + kh * layout.dilation[0];
        const iw = ow * layout.stride[1] - layout.padding[1] + kw * layout.dilation[1];
        const inside = ih >= 0 && ih < x.length && iw >= 0 && iw < x[0].length;
        const pixel = inside ? x[ih][iw] : 0;
        found.push({kh, kw, ih, iw, inside, pixel, weight: w[kh][kw], product: pixel * w[kh][kw]});
      }
    }
    return found;
  }

  function sum(found) {
    return found.reduce((total, term) => total + term.product, 0);
  }

  // All of y, an array of rows; empty if the kernel does not fit.
  function convolve(x, w, layout) {
    const [OH, OW] = outputSize(x, w, layout);
    if (OH < 1 || OW < 1) return [];
    return Array.from({length: OH}, (_, oh) =>
      Array.from({length: OW}, (_, ow) => sum(terms(x, w, layout, oh, ow))));
  }

  // Rows of numbers from lines of text; a string that says what is wrong otherwise.
  function parse(text) {
    const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
    const rows = lines.map((line) => line.split(/[\s,;]+/).filter((word) => word !== "").map(Number));
    if (rows.length === 0) return "there are no numbers";
    if (rows.some((row) => row.length !== rows[0].length)) return "the rows differ in length";
    if (rows.some((row) => row.some((value) => !Number.isFinite(value)))) return "not all are numbers";
    return rows;
  }

  // Whole numbers as they are, others with at most three digits after the point.
  function written(value) {
    const rounded = Math.round(value * 1000) / 1000;
    return String(Object.is(rounded, -0) ? 0 : rounded).replace("-", "\u2212");
  }

  return {reach, outputExtent, outputSize, terms, sum, convolve, parse, written};
})();
