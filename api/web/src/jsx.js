// jsx.js - what JSX becomes calls of; the bundler puts it where it is used.
export { Fragment, h } from "preact";
