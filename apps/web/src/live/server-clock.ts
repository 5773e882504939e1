/** Longest time after the `Date` of a response at which the server may have sent it, ms: it has whole seconds, and the server renews it each second. */
const DATE_AGE_MS_MAX = 2_000;

/** The clock of the server, as its responses give it. */
export class ServerClock {
  /** Bounds of the time of the server less that of the browser, ms, as all responses have narrowed them. */
  #least = Number.NEGATIVE_INFINITY;
  #most = Number.POSITIVE_INFINITY;

  /** Notes a response. @param date its header `Date` @param sentAt @param receivedAt times by the clock of the browser, epoch ms */
  note(date: string | null, sentAt: number, receivedAt: number): void {
    const at = Date.parse(date ?? '');
    if (Number.isNaN(at)) return;
    const least = at - receivedAt;
    const most = at + DATE_AGE_MS_MAX - sentAt;
    this.#least = Math.max(this.#least, least);
    this.#most = Math.min(this.#most, most);
    // One of the clocks was set.
    if (this.#least > this.#most) [this.#least, this.#most] = [least, most];
  }

  /** Time by the clock of the server, epoch ms. It is that of the browser until they are known to differ. */
  at(browserTime: number): number {
    const differ = this.#least > 0 || this.#most < 0;
    return differ ? Math.round(browserTime + (this.#least + this.#most) / 2) : browserTime;
  }
}

const clock = new ServerClock();

/** Time by the clock of the server, epoch ms, to compare with its times: the clock of the browser may be wrong by minutes. */
export const serverNow = () => clock.at(Date.now());

/** `fetch` that notes the times of the responses. */
export const fetchWithDate: typeof fetch = async (input, init) => {
  const sentAt = Date.now();
  const response = await fetch(input, init);
  clock.note(response.headers.get('date'), sentAt, Date.now());
  return response;
};
