"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = read("chart-theme");
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    // The interpreter needs no eval, so that the page can forbid it.
    ast: true,
    config,
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const draw = async ([name, spec]) => {
    const holder = document.getElementById("chart-" + name);
    try {
      await vegaEmbed(holder, spec, options);
      holder.dataset.drawn = "yes";
    } catch (error) {
      holder.textContent = String(error);
      console.error(name, error);
    }
  };
  Promise.all(Object.entries(read("chart-specs")).map(draw)).then(() => {
    document.documentElement.dataset.charts = "drawn";
  });

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const section of document.querySelectorAll("main > section[id]")) watcher.observe(section);

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.print")) details.open = true;
  });
})();
