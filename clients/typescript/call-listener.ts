/** Calls a callback of the application. Its exception is reported as uncaught, and does not change what the client does next. */
export function callListener(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
