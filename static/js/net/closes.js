/**
 * What it means that the live line was closed, in words for the painter.
 *
 * @typedef {{code: string, title: string, detail: string, next: string, fatal: boolean}} Refusal
 */
import { CLOSE } from "./protocol.js";

/** What a close code means when trying again would not help. */
export const FINAL = /** @type {Record<number, Refusal>} */ ({
  [CLOSE.subprotocol]: {
    code: "version",
    title: "This page is older than the server.",
    detail: "The server has been updated and speaks another version of the live protocol.",
    next: "Reload the page; your painting is kept.",
    fatal: true,
  },
  [CLOSE.origin]: {
    code: "origin",
    title: "The server does not accept this page.",
    detail: "It was opened under an address that the server has not been told to trust.",
    next: "Open the studio at the server’s own address, or allow this one in its settings.",
    fatal: true,
  },
  [CLOSE.tooBig]: {
    code: "too-big",
    title: "The painting is too large for this server.",
    detail: "A message went over the server’s size limit.",
    next: "Start a smaller painting, or raise the limit in the server’s settings.",
    fatal: true,
  },
  [CLOSE.malformed]: {
    code: "malformed",
    title: "The server did not understand this page.",
    detail: "A message was malformed, which usually means that page and server do not match.",
    next: "Reload the page; your painting is kept.",
    fatal: true,
  },
});

/** What a close code means when it is only a matter of time. @type {Record<number, {why: string}>} */
export const FULL = {
  [CLOSE.tooMany]: { why: "The server is full" },
  [CLOSE.tooManySockets]: { why: "Too many windows of yours are painting here" },
};
/** Any other. */
export const AWAY = { why: "The server cannot be reached" };
