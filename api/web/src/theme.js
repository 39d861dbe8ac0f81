// theme.js - light, dark, or as the system is. The choice is an attribute of the document that the style sheet reads.
export const themes = ["auto", "light", "dark"];

export function theme() {
  try { return themes.includes(localStorage.getItem("pj.theme")) ? localStorage.getItem("pj.theme") : "auto"; } catch { return "auto"; }
}

export function setTheme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("pj.theme", name); } catch { /* lasts as long as the page */ }
}

setTheme(theme());
