// Shows the button for logging out where there was a login.
"use strict";

fetch("/api/session")
  .then((answer) => answer.json())
  .then(({ login }) => { document.getElementById("logout").hidden = !login; })
  .catch(() => { /* the page says by itself that the link is lost */ });
