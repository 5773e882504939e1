/** Tile with a label and a number. */
export function StatTile({ name, value, unit, alarming = false }: { name: string; value: string; unit?: string; alarming?: boolean }) {
  return (
    <div className="min-w-0">
      <dt className="text-muted text-xs">{name}</dt>
      <dd className={`text-base [overflow-wrap:anywhere] ${alarming ? 'text-warn' : ''}`}>
        {value}
        {unit && <span className="ml-1 text-muted text-xs">{unit}</span>}
      </dd>
    </div>
  );
}
