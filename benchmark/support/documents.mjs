export function updateDocuments() {}
