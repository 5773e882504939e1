import type { Instrument } from '@millrace/contracts';
import { memo, useMemo, useState } from 'react';
import { Link, useLocation } from 'wouter';
import { useLive } from '../live/live.ts';
import { SimulatedBadge, StatusBadge } from '../parts/badges.tsx';
import { showPrice } from '../parts/decimals.ts';
import { Notice } from '../parts/notice.tsx';
import { useFormats } from '../parts/numbers.ts';
import { Change, Price } from '../parts/price.tsx';
import { Sparkline } from '../parts/sparkline.tsx';
import { useText } from '../text/text.ts';

/** All instruments with their newest prices, in a stable order. */
export function InstrumentsPage() {
  const text = useText();
  const instruments = useLive((live) => live.instruments);
  const [wanted, setWanted] = useState('');
  const ids = useMemo(() => [...(instruments?.keys() ?? [])].sort((a, b) => a.localeCompare(b)).join(' '), [instruments]);
  const searched = wanted.trim().toLowerCase();
  const matching = ids === '' ? [] : ids.split(' ').filter((id) => namesOf(id).some((name) => name.includes(searched)));
  return (
    <>
      <div className="flex flex-wrap items-center justify-between gap-3 py-4">
        <h1 className="font-semibold text-lg">{text.instruments}</h1>
        <input
          type="search"
          value={wanted}
          onChange={(event) => setWanted(event.target.value)}
          placeholder={text.find}
          aria-label={text.find}
          className="w-full rounded-md border border-edge bg-surface px-3 py-1.5 text-sm placeholder:text-muted sm:w-64"
        />
      </div>
      <div className="overflow-hidden rounded-lg border border-line bg-surface">
        {instruments === null ? (
          <Notice title={text.loading} />
        ) : ids === '' ? (
          <Notice title={text.noInstruments} hint={text.noInstrumentsHint} />
        ) : matching.length === 0 ? (
          <Notice title={`${text.noMatch}: ${wanted}`} />
        ) : (
          <table className="w-full table-fixed text-sm">
            <thead className="border-line border-b text-left text-muted text-xs">
              <tr>
                <th className="w-[44%] px-3 py-2 font-normal sm:w-[24%] sm:px-4">{text.instrument}</th>
                <th className="px-3 py-2 text-right font-normal">{text.price}</th>
                <th className="hidden px-3 py-2 text-right font-normal sm:table-cell" title={text.todayHint}>
                  {text.today}
                </th>
                <th className="hidden w-[19%] px-3 py-2 text-right font-normal lg:table-cell">{text.dayRange}</th>
                <th className="hidden px-3 py-2 text-right font-normal md:table-cell">{text.volume}</th>
                <th className="hidden w-40 px-3 py-2 pl-8 font-normal sm:table-cell">{text.lastHour}</th>
                <th className="hidden w-28 px-3 py-2 text-right font-normal sm:table-cell sm:pr-4">{text.status}</th>
              </tr>
            </thead>
            <tbody>
              {matching.map((id) => {
                const instrument = instruments.get(id);
                return instrument && <Row key={id} instrument={instrument} />;
              })}
            </tbody>
          </table>
        )}
      </div>
    </>
  );
}

/** What users search for: the id, and the pair as the page shows it. In an id, only the pair is in upper case, and has no colon. */
function namesOf(id: string): string[] {
  const name = id.toLowerCase();
  const pair = name.slice(name.indexOf(':') + 1);
  return [name, pair.replace('-', '/')];
}

const Row = memo(function Row({ instrument }: { instrument: Instrument }) {
  const { compact } = useFormats();
  const [, go] = useLocation();
  const { id, base, quote, source, simulated, price, dayOpen, dayHigh, dayLow, dayVolume, spark, status, reason } = instrument;
  const page = `/instruments/${encodeURIComponent(id)}`;
  return (
    <tr className="h-14 cursor-pointer border-line border-b last:border-0 hover:bg-raised" onClick={() => go(page)}>
      <td className="px-3 sm:px-4">
        <Link href={page} className="font-medium" onClick={(event) => event.stopPropagation()}>
          {base}
          <span className="text-muted">/{quote}</span>
        </Link>
        <div className="mt-0.5 flex items-center gap-2 text-muted text-xs">
          <span className="truncate">{source}</span>
          {simulated && <SimulatedBadge />}
        </div>
      </td>
      <td className="px-2 text-right font-medium">
        <Price price={price} />
        <div className="px-1 font-normal text-xs sm:hidden">
          {status === 'live' ? <Change open={dayOpen} price={price} /> : <StatusBadge status={status} reason={reason} />}
        </div>
      </td>
      <td className="hidden px-3 text-right sm:table-cell">
        <Change open={dayOpen} price={price} />
      </td>
      <td className="hidden whitespace-nowrap px-3 text-right text-muted lg:table-cell">
        {dayLow === null || dayHigh === null ? '–' : `${showPrice(Number(dayLow))} – ${showPrice(Number(dayHigh))}`}
      </td>
      <td className="hidden px-3 text-right text-muted md:table-cell">{compact(Number(dayVolume))}</td>
      <td className="hidden px-3 pl-8 sm:table-cell">
        <Sparkline values={spark} className="h-7 w-full" />
      </td>
      <td className="hidden px-3 text-right sm:table-cell sm:pr-4">
        <StatusBadge status={status} reason={reason} />
      </td>
    </tr>
  );
});
