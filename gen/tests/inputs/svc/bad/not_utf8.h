    SVC_(Close, 1) // größer
    SVC_(Open, 1) // ÿ
