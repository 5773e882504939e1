import { MillraceProvider } from '@millrace/react';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { millrace } from './live/stream.ts';
import { queries } from './queries.ts';
import { reloadWhenReachable } from './reload.ts';
import './style.css';

// A tab that is older than the server asks for pages that are no more: it becomes as new as the server, once there is one.
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
