/* What pages do beyond links and forms. Everything here is a convenience: without it
   each page can still be read and each form still be sent. */
"use strict";
