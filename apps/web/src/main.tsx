import { MillraceProvider } from '@millrace/react';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { millrace } from './live/stream.ts';
import { queries } from './queries.ts';
import { reloadWhenReachable } from './reload.ts';
import './style.css';

// After an update of the server, an old tab requests files that no longer exist: reload it when the server is reachable.
addEventListener('vite:preloadError', () => void reloadWhenReachable());

const root = document.getElementById('root');
if (root)
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <MillraceProvider client={millrace}>
          <App />
        </MillraceProvider>
      </QueryClientProvider>
    </StrictMode>,
  );
