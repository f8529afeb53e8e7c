"use strict";
/* Draws the figures of the page, in the colours of the moment: a value "@wake" under a key that ends in "color" is the
   name of a colour in a palette. A change between light and dark, and printing, draw again with the other palette. */
(() => {
  const { palettes, figures } = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // A finger that moves over a picture means to scroll the page.
  const coarse = matchMedia("(pointer: coarse)").matches;
  let printing = false;

  const painted = (node, palette) => {
    if (Array.isArray(node)) {
      return node.length && typeof node[0] === "object" && node[0] !== null && !Array.isArray(node[0])
        ? node.map((item) => painted(item, palette))
        : node;
    }
    if (typeof node !== "object" || node === null) return node;
    return Object.fromEntries(
      Object.entries(node).map(([key, value]) => [
        key,
        key.endsWith("color") && typeof value === "string" && value.startsWith("@")
          ? palette[value.slice(1)]
          : painted(value, palette),
      ]),
    );
  };

  const draw = (id) => {
    const palette = dark.matches && !printing ? palettes.dark : palettes.light;
    const { data, layout } = painted(figures[id], palette);
    const place = document.getElementById(id);
    // What the reader has zoomed into stays, for as long as the picture is the same one.
    layout.uirevision = id;
    layout.dragmode = coarse ? false : "zoom";
    layout.autosize = true;
    if (printing) layout.width = Math.min(place.clientWidth, 660);
    return Plotly.react(place, data, layout, {
      responsive: true,
      displaylogo: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    });
  };

  const ids = Object.keys(figures);
  const drawAll = async () => {
    delete document.documentElement.dataset.drawn;
    for (const id of ids) {
      await draw(id);
      await new Promise((resolve) => setTimeout(resolve)); // the page stays usable in between
    }
    document.documentElement.dataset.drawn = dark.matches && !printing ? "dark" : "light";
  };

  let last = Promise.resolve();
  const again = () => (last = last.then(drawAll));
  dark.addEventListener("change", again);
  // Paper cannot be hovered over: it gets the numbers of each ring. All at once, for the browser prints on our return.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    printing = true;
    unfolded = [...document.querySelectorAll("figcaption details:not([open])")];
    unfolded.forEach((numbers) => (numbers.open = true));
    ids.forEach(draw);
  });
  addEventListener("afterprint", () => {
    printing = false;
    unfolded.forEach((numbers) => (numbers.open = false));
    again();
  });
  again();
})();
