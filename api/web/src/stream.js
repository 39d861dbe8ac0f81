// stream.js - a server-sent stream that is opened again until somebody closes it.
//
// A browser repeats a broken connection by itself, but gives up for good on an answer that is no stream (a proxy's 502 while the
// server restarts). open(after) makes the address; after is the id of the last event that came, or "".
export function openStream(path, { events, after = "", onState = () => {} }) {
  let source = null, last = after, timer = null, wait = 1000, closed = false;

  function open() {
    source = new EventSource(path(last));
    source.onopen = () => { wait = 1000; onState("open"); };
    source.onerror = () => {
      if (closed) return;
      onState("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait);
      wait = Math.min(15000, wait * 2);
    };
    for (const [name, handle] of Object.entries(events)) {
      source.addEventListener(name, event => {
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data || "{}"), event);
      });
    }
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    source.close();
  }

  open();
  return { close };
}
