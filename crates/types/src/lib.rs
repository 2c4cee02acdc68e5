//! The words of the system: NEVRA, ids, statuses and their transitions, the API's requests and answers. No I/O.
