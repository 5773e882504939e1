import { useEffect, useRef, useState } from 'react';
import { showDecimal } from './decimals.ts';
import { showPercent } from './numbers.ts';

/** A price that is highlighted briefly when it changes, without layout shift. */
export function Price({ price, className = '' }: { price: string | null; className?: string }) {
  const before = useRef(price);
  const [change, setChange] = useState<{ direction: 'up' | 'down'; count: number } | null>(null);
  useEffect(() => {
    const [last, next] = [Number(before.current), Number(price)];
    if (before.current !== null && price !== null && last !== next)
      setChange((previous) => ({ direction: next > last ? 'up' : 'down', count: (previous?.count ?? 0) + 1 }));
    before.current = price;
  }, [price]);
  return (
    <span key={change?.count} className={`rounded px-1 ${change ? `flash-${change.direction}` : ''} ${className}`}>
      {price === null ? '–' : showDecimal(price)}
    </span>
  );
}

/** Change of the price today. */
export function Change({ open, price }: { open: string | null; price: string | null }) {
  if (open === null || price === null) return <span className="text-muted">–</span>;
  // With a negative open a rise is still positive; with an open of zero there is no percentage.
  const from = Number(open);
  if (from === 0) return <span className="text-muted">–</span>;
  const ratio = (Number(price) - from) / Math.abs(from);
  const colour = ratio > 0 ? 'text-up' : ratio < 0 ? 'text-down' : 'text-muted';
  return <span className={colour}>{showPercent(ratio)}</span>;
}
