/** Number and time formats of a language. */
export interface Formats {
  /** A number in few digits: thousands and more abbreviated, below 1 with three significant digits. */
  compact(value: number): string;
  whole(value: number): string;
  clock(time: number): string;
  day(time: number): string;
  /** Time of day, with the date if it is not today. */
  when(time: number): string;
  /** A duration in ms, in its largest suitable unit. */
  duration(ms: number): string;
  /** A period in ms that is a whole number of minutes or hours. */
  period(ms: number): string;
  /** A duration in ms, in seconds with this number of decimals. */
  seconds(ms: number, decimals: 1 | 2): string;
  /** Date and time. */
  moment(time: number): string;
}

/** Formats of a locale, in the time zone of the browser. */
export const formatsFor = (locale: string): Formats => {
  const unit = (name: string, decimals = 0) =>
    new Intl.NumberFormat(locale, {
      style: 'unit',
      unit: name,
      unitDisplay: 'short',
      minimumFractionDigits: decimals,
      maximumFractionDigits: decimals,
    });
  const [second, minute, hour] = [unit('second'), unit('minute'), unit('hour')];
  const precise = { 1: unit('second', 1), 2: unit('second', 2) };
  const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 2 });
  const small = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
  const whole = new Intl.NumberFormat(locale);
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' });
  const dated = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' });
  return {
    compact: (value) => (Math.abs(value) < 1 ? small : compact).format(value),
    whole: (value) => whole.format(value),
    clock: (time) => clock.format(time),
    day: (time) => day.format(time),
    when: (time) => (day.format(time) === day.format(Date.now()) ? clock : dated).format(time),
    duration: (ms) => {
      const seconds = Math.max(0, Math.round(ms / 1_000));
      if (seconds < 120) return second.format(seconds);
      return seconds < 7_200 ? minute.format(Math.round(seconds / 60)) : hour.format(Math.round(seconds / 3_600));
    },
    period: (ms) => (ms < 3_600_000 ? minute.format(ms / 60_000) : hour.format(ms / 3_600_000)),
    seconds: (ms, decimals) => precise[decimals].format(ms / 1_000),
    moment: (time) => moment.format(time),
  };
};
