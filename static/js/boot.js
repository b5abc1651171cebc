/** First the address, then the language, then the studio: its modules look their texts up as they are loaded. */
import "./arrival.js";
import { startLanguage } from "./ui/language.js";

await startLanguage();
await import("./main.js");
