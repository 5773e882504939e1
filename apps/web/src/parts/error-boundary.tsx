import { Component, type ReactNode } from 'react';
import { useLocation } from 'wouter';
import { useText } from '../text/text.ts';
import { Notice } from './notice.tsx';

/** Shows an error of a page in its place. Without it, React would remove the whole console. Another page can be opened. */
export function ErrorBoundary({ children }: { children: ReactNode }) {
  const [here] = useLocation();
  return <Boundary address={here}>{children}</Boundary>;
}

interface Properties {
  /** The error is of the page at this address. */
  readonly address: string;
  readonly children: ReactNode;
}

class Boundary extends Component<Properties, { error: unknown }> {
  override state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidUpdate(before: Properties) {
    if (before.address !== this.props.address && this.state.error !== null) this.setState({ error: null });
  }

  override render() {
    return this.state.error === null ? this.props.children : <Broken error={this.state.error} />;
  }
}

function Broken({ error }: { error: unknown }) {
  const text = useText();
  return <Notice title={text.brokenPage} hint={error instanceof Error ? error.message : String(error)} onRetry={() => location.reload()} />;
}
