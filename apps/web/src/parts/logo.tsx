/** The logo: water in a channel. */
export function Logo() {
  return (
    <svg viewBox="0 0 24 24" className="size-6" aria-hidden="true">
      <rect width="24" height="24" rx="6" className="fill-accent" />
      <path
        d="M4 9c3-3 5 3 8 0s5 3 8 0M4 15c3-3 5 3 8 0s5 3 8 0"
        strokeWidth="2"
        strokeLinecap="round"
        className="fill-none stroke-surface"
      />
    </svg>
  );
}
