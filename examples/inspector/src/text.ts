// Numbers and times as people read them.

const WHOLE = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const count = (number: number): string => WHOLE.format(number);

export const counted = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`;

export const time = (milliseconds: number): string => TIME.format(milliseconds);

/** `4:07`, `1:00:00`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (number: number) => String(number).padStart(2, "0");
  const minutes = `${Math.floor(whole / 60) % 60}`;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${two(Number(minutes))}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `4 minutes`, `1 hour`, `20 seconds`. */
export function duration(seconds: number): string {
  if (seconds >= 3600 && seconds % 3600 === 0) return counted(seconds / 3600, "hour");
  if (seconds >= 60 && seconds % 60 === 0) return counted(seconds / 60, "minute");
  return counted(seconds, "second");
}

export function bytes(number: number): string {
  if (number < 1024) return `${number} B`;
  const kibibytes = number / 1024;
  return kibibytes < 1024 ? `${kibibytes.toFixed(kibibytes < 10 ? 1 : 0)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}
