ULONG Services[] = {
    SVC_(Close, 1),
    SVC_(Open, 1);
};
