    SVC_(Close,
#error [31mred
    SVC_(Open 2)
    
